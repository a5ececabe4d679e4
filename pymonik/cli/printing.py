"""How commands print: tables for people, JSON for programs."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Final

_LONGEST: Final = 60  # characters of a cell in a table
_EMPTY: Final = "-"  # so that the columns of a line can be counted by a program, too


def show(rows: Sequence[Mapping[str, object]], *, as_json: bool, none: str = "none") -> None:
    """Print rows that have the same keys.

    Args:
        rows: Keys are the heads of the columns.
        as_json: A list of objects instead of a table.
        none: What people read where there are no rows.
    """
    if as_json:
        print_json(rows)
        return
    say("\n".join(_fitting(table(rows))) if rows else none)


def print_json(value: object) -> None:
    """Print a value for programs."""
    say(json.dumps(value, indent=2, default=str))


def say(text: str) -> None:
    """Print a text for people."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def table(rows: Sequence[Mapping[str, object]]) -> list[str]:
    """The lines of a table with a head; numbers stand to the right."""
    heads = list(rows[0])
    cells = [[_cell(row[head]) for head in heads] for row in rows]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    is_number = [isinstance(rows[0][head], int | float) for head in heads]
    lines = [[head.replace("_", " ") for head in heads], *cells]
    return [
        "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(line, widths, is_number, strict=True)
        ).rstrip()
        for line in lines
    ]


def _fitting(lines: list[str]) -> list[str]:
    """Lines as a terminal shows them without a break; a pipe and a file get all of each."""
    if not sys.stdout.isatty():
        return lines
    width = shutil.get_terminal_size().columns
    return [line if len(line) <= width else f"{line[: width - 1]}…" for line in lines]


def age(instant: float | None, now: float | None = None) -> float | None:
    """Seconds since an instant, to the tenth; ``None`` where it is not set."""
    if instant is None:
        return None
    return round(max(0.0, (time.time() if now is None else now) - instant), 1)


def in_bytes(nbytes: int) -> str:
    """``"1.2 GB"``: powers of 1024, as commands take them."""
    size = float(nbytes)
    for unit in ("B", "KB", "MB", "GB"):
        # Up to 1000 and not 1024, so that no number has four digits.
        if size < 1000:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TB"


def _cell(value: object) -> str:
    if value is None or value in ("", {}, [], ()):
        return _EMPTY
    if isinstance(value, Mapping):
        value = " ".join(f"{number} {name}" for name, number in value.items())
    elif isinstance(value, list | tuple):
        value = ", ".join(map(str, value))
    text = " ".join(str(value).split())  # a line of a table stays one line
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
