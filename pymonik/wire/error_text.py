"""A failure in the error text of a task, which is all that ArmoniK keeps of one that failed.

::

    Traceback (most recent call last):              for people: ArmoniK's tools show it
      ...
    ValueError: wrong
    --- pymonik: <code> <failure>                   for us: the last line

A text holds data of the user, and data must never become code: a line that merely looks like ours
is not read. The code is a keyed hash of the failure. Its key is the session's nonce, which the
client made, workers have from payloads, and no text ever shows; so a line is believed also where
it is quoted, and is worth nothing where it was cut, invented, or comes from another session.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import zlib
from typing import TYPE_CHECKING, Final

import msgspec

from pymonik.wire.failure import NONE, Failure, Frame, Piece, Raised, decode, encode
from pymonik.wire.traceback_text import traceback_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MOST_LINE: Final = 64 * 1024  # bytes of the last line, where the caller gives no smaller bound
_MARK: Final = "--- pymonik: "  # begins the line; as a mark only, the code behind it is what counts
_LINE = re.compile(rf"^{_MARK}([0-9a-f]{{32}}) ([A-Za-z0-9+/=]+)[ \t\r]*$", re.MULTILINE)
# Bytes that a line may unpack to: zlib packs a thousandfold.
_MOST_FAILURE: Final = 16 * 1024 * 1024


def error_text(
    failure: Failure,
    nonce: str,
    *,
    most_text: int | None = None,
    most_line: int = MOST_LINE,
    size: Callable[[str], int] = len,
) -> str:
    """The text to give to ArmoniK.

    Args:
        failure: Why the task failed.
        nonce: Of the session; without one there is no line for us.
        most_text: Bounds the part for people, of which the end is kept.
        most_line: Bounds the line; what does not fit is shortened, then left out.
        size: Measures both.
    """
    text = traceback_text(failure)
    if most_text is not None:
        text = _end(text, most_text, size)
    line = _line(failure, nonce, most_line) if nonce else ""
    return f"{text}\n{line}" if line else text


def failure_of(text: str, nonce: str) -> Failure | None:
    """The failure in the error of a task, also of one that quotes another's; else ``None``."""
    if not nonce or _MARK not in text:
        return None
    # The last line first: a text that quotes another task's error has that one's line before its
    # own.
    for match in reversed(list(_LINE.finditer(text))):
        code, data = match.groups()
        if hmac.compare_digest(code, _code(data, nonce)):
            return _unpacked(data)
    return None


def for_people(text: str) -> str:
    """The error of a task without lines that are, or look like, ours."""
    return _LINE.sub("", text).rstrip() if _MARK in text else text


def _line(failure: Failure, nonce: str, most: int) -> str:
    for smaller in _smaller(failure):
        data = base64.b64encode(zlib.compress(encode(smaller))).decode()
        line = f"{_MARK}{_code(data, nonce)} {data}"
        if len(line) <= most:
            return line
    return ""


def _code(data: str, nonce: str) -> str:
    return hmac.new(nonce.encode(), data.encode(), hashlib.sha256).hexdigest()[:32]


def _unpacked(data: str) -> Failure | None:
    try:
        unpacker = zlib.decompressobj()
        return decode(unpacker.decompress(base64.b64decode(data, validate=True), _MOST_FAILURE))
    except (binascii.Error, zlib.error, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _end(text: str, most: int, size: Callable[[str], int]) -> str:
    if size(text) <= most:
        return text
    low, high = 0, min(len(text), most)  # characters that fit, found by halving
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if size(text[-middle:]) <= most - 20 else (low, middle - 1)
    return f"(cut) ...{text[len(text) - low :]}"


def _with_last_output(failure: Failure, most: int) -> Failure:
    from pymonik.wire import streams  # few failures are as large

    size = len(failure.output)
    first = max(0, size - most)
    return msgspec.structs.replace(
        failure,
        output=failure.output[first:],
        output_turns=streams.cut(failure.output_turns, first, size),
    )


# -- what fits -----------------------------------------------------------------------------------


def _smaller(failure: Failure) -> Iterator[Failure]:
    """The failure, then with less and less of what is least missed."""
    replace = msgspec.structs.replace
    yield failure
    yield (bare := _without_locals(failure))
    if failure.output:
        for most in (16 * 1024, 4 * 1024, 1024, 0):
            yield (bare := _with_last_output(bare, most))
    first = bare.raised[0]
    for frames, most in ((20, 4096), (8, 1024), (3, 300)):
        kept = tuple(replace(frame, source="") for frame in first.frames[-frames:])
        short = _shortened(replace(first, frames=kept, left_out=0), most)
        yield replace(bare, raised=(short, *map(_outline, bare.raised[1:])), call="")
        yield replace(bare, raised=(_alone(short),), call="")
    short = _shortened(first, 300)
    named = Raised(first.module, first.name, short.text, first.kind, args=short.args)
    yield Failure((_alone(named),), origin=failure.origin, seconds=failure.seconds)
    yield Failure((replace(named, kind=(), args=()),), origin=failure.origin)


def _without_locals(failure: Failure) -> Failure:
    def frame(one: Frame) -> Frame:
        return msgspec.structs.replace(one, locals={})

    raised = tuple(
        msgspec.structs.replace(one, frames=tuple(map(frame, one.frames))) for one in failure.raised
    )
    return msgspec.structs.replace(failure, raised=raised)


def _shortened(raised: Raised, most: int) -> Raised:
    """Without pickles of more than ``most`` bytes: their reprs stand for them."""

    def piece(one: Piece) -> Piece:
        if sum(map(len, one.blobs)) <= most:
            return one
        return msgspec.structs.replace(one, blobs=(), shown=one.shown[:most])

    return msgspec.structs.replace(
        raised,
        text=raised.text[:most],
        whole=raised.whole if sum(map(len, raised.whole)) <= most else (),
        args=tuple(map(piece, raised.args)),
        attributes=tuple(map(piece, raised.attributes)),
        slots=tuple(map(piece, raised.slots)),
        notes=tuple(note[:most] for note in raised.notes),
    )


def _outline(raised: Raised) -> Raised:
    """An exception further down, cut to its class, its text and what led to it."""
    short = _shortened(raised, 300)
    return msgspec.structs.replace(short, frames=(), left_out=0)


def _alone(raised: Raised) -> Raised:
    """Without the exceptions that it refers to."""

    def piece(one: Piece) -> Piece:
        return msgspec.structs.replace(one, raised=NONE)

    return msgspec.structs.replace(
        raised,
        args=tuple(map(piece, raised.args)),
        attributes=tuple(map(piece, raised.attributes)),
        cause=NONE,
        context=NONE,
        members=(),
    )
