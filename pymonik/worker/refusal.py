"""The text of a failed call, which travels in gRPC's trailers, where little fits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pymonik.wire.error_text import error_text

if TYPE_CHECKING:
    from pymonik.wire.failure import Failure

LIMIT: Final = 6_000  # bytes on the wire; past 8 KiB of trailers gRPC may replace the status
_TEXT: Final = 3_000  # of them for people
_LINE: Final = 2_500  # and for the client; what is larger travels as its repr


def refusal(failure: Failure, nonce: str) -> str:
    """What to say of an attempt that may be repeated."""
    return error_text(failure, nonce, most_text=_TEXT, most_line=_LINE, size=wire_size)


def shortened(text: str) -> str:
    """The end of ``text`` if it does not fit: there the lines are that say most."""
    if wire_size(text) <= LIMIT:
        return text
    return f"(cut) ...{text[-LIMIT // 4 :]}"


def wire_size(text: str) -> int:
    """Bytes of ``text`` as gRPC writes it: printable ASCII as it is, other bytes as ``%XX``."""
    data = text.encode(errors="replace")
    return sum(1 if 0x20 <= byte <= 0x7E and byte != 0x25 else 3 for byte in data)
