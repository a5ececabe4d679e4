r"""Which part of a printed text went to which standard stream.

A text that a call has printed on both streams is kept as one, in the order in which it came. Beside
it stand its *turns*: lengths of what went to standard output and to standard error, in turn, the
first one to standard output. Where all of it did there are none, as with most calls::

    "out\nerr\nout\n"    turns 4, 4, 4
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# By number: a stream is 0 or 1 here and in `pymonik.executor.output_files`.
_NAMES: Final = ("stdout", "stderr")
Piece = tuple[int, bytes]  # the number of the stream, and what went to it


def joined(pieces: Iterable[Piece]) -> list[Piece]:
    """The pieces with those together that follow each other on one stream; no empty ones."""
    found: list[Piece] = []
    for stream, data in pieces:
        if not data:
            continue
        if found and found[-1][0] == stream:
            found[-1] = stream, found[-1][1] + data
        else:
            found.append((stream, data))
    return found


def last_of(pieces: Sequence[Piece], most: int) -> list[Piece]:
    """The last bytes of them."""
    kept: list[Piece] = []
    for stream, data in reversed(pieces):
        if most <= 0:
            break
        kept.append((stream, data[-most:]))
        most -= len(data)
    return kept[::-1]


def turns_of(lengths: Iterable[tuple[int, int]]) -> tuple[int, ...]:
    """The turns of parts of a text.

    Args:
        lengths: Of each part its stream and its length.
    """
    found = [0]
    for stream, length in lengths:
        if not length:
            continue
        if (len(found) - 1) % 2 != stream:
            found.append(0)
        found[-1] += length
    return tuple(found) if len(found) > 1 else ()


def cut(turns: Sequence[int], start: int, stop: int) -> tuple[int, ...]:
    """The turns of a slice of the text."""
    parts = []
    position = 0
    for place, length in enumerate(turns):
        first, end = max(position, start), min(position + length, stop)
        parts.append((place % 2, max(0, end - first)))
        position += length
    return turns_of(parts)


def apart(text: str, turns: Sequence[int]) -> list[tuple[str, str]]:
    """A text as parts with the names of their streams; turns count its characters."""
    if not turns:
        return [(_NAMES[0], text)] if text else []
    found = []
    position = 0
    for place, length in enumerate(turns):
        if length:
            found.append((_NAMES[place % 2], text[position : position + length]))
        position += length
    return found


def as_text(pieces: Iterable[Piece]) -> tuple[str, tuple[int, ...]]:
    """The text, and its turns in characters; bytes that are no text are shown as escapes."""
    parts = [(stream, data.decode("utf-8", "backslashreplace")) for stream, data in joined(pieces)]
    text = "".join(part for _, part in parts)
    return text, turns_of((stream, len(part)) for stream, part in parts)
