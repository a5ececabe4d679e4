"""An exception of a task in a line, and which of them are the same."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from pymonik.code.short_reprs import ShortReprs

_LONGEST: Final = 200  # characters of a text: it stands in a line of a display or a log
_NUMBER: Final = re.compile(r"\d+(\.\d+)?")  # whatever an error names: items, sizes, times


class Fault(NamedTuple):
    """Class and text of an exception."""

    kind: str
    text: str

    @property
    def key(self) -> str:
        """A text that is equal for exceptions that differ in numbers only."""
        return f"{self.kind}: {_NUMBER.sub('0', self.text)}"

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}" if self.text else self.kind


def summary(error: BaseException) -> Fault:
    """The class of an exception and the first line of its text, which cannot raise."""
    return Fault(type(error).__name__, first_line(ShortReprs().text_of(error)))


def first_line(text: str) -> str:
    """The first line of the text of an exception, shortened."""
    line = next((line for line in text.strip().splitlines() if line.strip()), "").strip()
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
