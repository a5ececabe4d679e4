"""A failure as people read it: the lines that Python prints for an exception."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymonik.wire.failure import NONE, Failure, Frame, Raised, follows

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_CHARACTERS = 200_000  # of the whole text, which ArmoniK keeps in a row of its database
FIRST_FRAMES = 20  # of a deep traceback, before those that are left out
_CAUSE = "\nThe above exception was the direct cause of the following exception:\n"
_CONTEXT = "\nDuring handling of the above exception, another exception occurred:\n"
_REPEATED = 3  # times that Python prints a frame of a recursion


def traceback_text(failure: Failure) -> str:
    """The traceback with its causes, without values of variables; cut in the middle if huge."""
    text = "\n".join(_chain(failure, 0, set()))
    if len(text) <= MOST_CHARACTERS:
        return text
    half = MOST_CHARACTERS // 2
    return f"{text[:half]}\n... (cut)\n{text[-half:]}"


def _chain(failure: Failure, number: int, seen: set[int]) -> Iterator[str]:
    """An exception after those that led to it; ``seen`` ends circles."""
    chain: list[int] = []
    while number != NONE and number not in seen:
        seen.add(number)
        chain.append(number)
        number = follows(failure, failure.raised[number])
    for one in reversed(chain):
        raised = failure.raised[one]
        if one != chain[-1]:
            yield _CAUSE if raised.cause != NONE else _CONTEXT
        yield from _one(failure, raised, seen)


def _one(failure: Failure, raised: Raised, seen: set[int]) -> Iterator[str]:
    if raised.frames:
        yield "Traceback (most recent call last):"
        yield from _frames(raised)
    yield raised.summary
    yield from raised.notes
    for count, member in enumerate(raised.members, start=1):
        yield f"  +---------------- {count} ----------------"
        if member < len(failure.raised):
            yield from (
                f"  | {line}" for line in "\n".join(_chain(failure, member, seen)).split("\n")
            )


def _frames(raised: Raised) -> Iterator[str]:
    last: Frame | None = None
    repeated = 0
    for index, frame in enumerate(raised.frames):
        if raised.left_out and index == FIRST_FRAMES:
            yield f"  ... {raised.left_out} frames are left out ..."
        same = last is not None and (frame.file, frame.line, frame.name) == (
            last.file,
            last.line,
            last.name,
        )
        repeated = repeated + 1 if same else 0
        last = frame
        if repeated < _REPEATED:
            yield f'  File "{frame.file}", line {frame.line}, in {frame.name}'
            yield from _source(frame)
        elif repeated == _REPEATED:
            yield "  [Previous line repeated]"


def _source(frame: Frame) -> Iterator[str]:
    if not frame.source.strip():
        return
    line, _, more = frame.source.partition("\n")
    stripped = line.strip()
    yield f"    {stripped}"
    if more or frame.column < 0 or frame.end_line > frame.line:
        return
    data = line.encode()
    indent = len(line) - len(line.lstrip())
    start = len(data[: frame.column].decode(errors="replace")) - indent
    end = len(data[: frame.end_column].decode(errors="replace")) - indent
    if 0 <= start < end <= len(stripped) and end - start < len(stripped):
        yield f"    {' ' * start}{'^' * (end - start)}"
