"""Source lines of functions by value, for tracebacks and `inspect` where the functions run."""

from __future__ import annotations

import linecache
import types
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

OWN_FOLDER: Final = f"{Path(__file__).parents[1]}/"  # of pymonik: users see frames of their own
_CLOSING = (")", "]", "}")  # begin lines that end a statement at its own indentation

Source = tuple[str, int, str]  # file name, number of the first line, text


def source_of(code: types.CodeType) -> Source | None:
    """The lines that ``code`` was compiled from, as far as they can still be had."""
    lines = linecache.getlines(code.co_filename)
    first = code.co_firstlineno
    if not 0 < first <= len(lines):
        return None
    last = max(_line_numbers(code), default=first)
    last = _end_of_block(lines, first, min(last, len(lines)))
    return code.co_filename, first, "".join(lines[first - 1 : last])


def show(source: Source) -> None:
    """Let `linecache` have these lines; those of the same file that it has already stay."""
    name, first, text = source
    new = text.splitlines(keepends=True)
    entry = linecache.cache.get(name)
    # An entry with a time was read from a file of this machine, which may be another one.
    lines = list(entry[2]) if entry is not None and len(entry) == 4 and entry[1] is None else []
    if lines[first - 1 : first - 1 + len(new)] == new:
        return
    lines += ["\n"] * (first - 1 + len(new) - len(lines))
    lines[first - 1 : first - 1 + len(new)] = new
    linecache.cache[name] = (sum(map(len, lines)), None, lines, name)


class MainFile:
    """Stands in a pickle for ``__main__.__file__``, and brings the lines of that file along.

    `inspect` finds a class by reading the file of its module, and the file may lie nowhere else.
    """

    def __init__(self, path: str) -> None:
        self.path = path


def reduce_main_file(pickler: object, file: MainFile) -> tuple[object, tuple[str, str]]:
    """What `pickle` takes for it."""
    del pickler
    return main_file, (file.path, "".join(linecache.getlines(file.path)))


def main_file(path: str, text: str) -> str:
    """The path, once `linecache` has the lines; stands in pickles by its name."""
    if text:
        show((path, 1, text))
    return path


def _line_numbers(code: types.CodeType) -> Iterator[int]:
    yield from (line for _, _, line in code.co_lines() if line is not None)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _line_numbers(constant)


def _end_of_block(lines: list[str], first: int, last: int) -> int:
    """The last line with those that have no code of their own, such as a closing bracket."""
    indent = _indent(lines[first - 1])
    while last < len(lines):
        line = lines[last]
        if line.strip() and _indent(line) <= indent and not line.strip().startswith(_CLOSING):
            break
        last += 1
    while last > first and not lines[last - 1].strip():
        last -= 1
    return last


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
