"""The text of a failed call, which travels in gRPC's trailers, where little fits."""

from __future__ import annotations

import msgspec

from pymonik.code.failure import Failure, readable

LIMIT = 6_000  # bytes on the wire; past 8 KiB of trailers gRPC may replace the status by its own
_KEPT_ENDS = (2_000, 500)  # characters of a traceback, tried in order


def fit(text: str) -> str:
    """``text`` if it fits, else the end of its traceback with as much of the rest as fits."""
    if _size(text) <= LIMIT:
        return text
    failure = Failure.from_text(text)
    if failure is not None:
        for kept in _KEPT_ENDS:
            for smaller in _shortened(failure, kept):
                shorter = smaller.to_text()
                if _size(shorter) <= LIMIT:
                    return shorter
    return _end(readable(text), LIMIT // 3)


def _shortened(failure: Failure, kept: int) -> tuple[Failure, Failure]:
    short = msgspec.structs.replace(
        failure, traceback=_end(failure.traceback, kept), message=failure.message[:kept]
    )
    return short, msgspec.structs.replace(short, pickle=None)


def _end(text: str, kept: int) -> str:
    return text if len(text) <= kept else f"(cut) ...{text[-kept:]}"


def _size(text: str) -> int:
    """Bytes of ``text`` as gRPC writes it: printable ASCII as it is, other bytes as ``%XX``."""
    data = text.encode(errors="replace")
    return sum(1 if 0x20 <= byte <= 0x7E and byte != 0x25 else 3 for byte in data)
