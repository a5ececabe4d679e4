"""Shows what tasks print: on standard error of a program, in the cell of a notebook, or nowhere.

A program's standard output stays its own. Where a person looks on, at a terminal or a notebook,
floods are folded; into a file goes every line.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Protocol

from pymonik.errors import UsageError
from pymonik.runs.output_lines import Lines
from pymonik.wording import count

if TYPE_CHECKING:
    from typing import TextIO

    from pymonik.wire.live import LogEntry

_log = logging.getLogger("pymonik")

_MOST_LINES: Final = 200  # of a second that are shown to a person, who cannot read more
_MOST_TEXT: Final = 64 * 1024  # characters of them, since a line may be long
_ERASE: Final = "\r\x1b[K"  # erases the line of a terminal that shows how calls come along


@dataclass(frozen=True, slots=True)
class OutputLine:
    """A line that a task has printed.

    Attributes:
        text: Without its end.
        stream: ``"stdout"`` or ``"stderr"``.
        name: Of the function.
        index: The number of the call in its `map_invoke`; ``None`` for a call alone.
    """

    text: str
    stream: str
    name: str
    index: int | None

    @property
    def label(self) -> str:
        """Function and number: ``simulate 17``."""
        return self.name if self.index is None else f"{self.name} {self.index}"

    def __str__(self) -> str:
        return f"[{self.label}] {self.text}"


Wanted = Literal["live", "quiet"] | Callable[[OutputLine], object]


class Shown(Protocol):
    """Takes what is heard; for one thread."""

    def add(self, output_id: str, entry: LogEntry) -> None:
        """A call has printed something."""

    def pause(self) -> None:
        """Nothing more is there for the moment."""


class Output:
    """Shows lines.

    Args:
        write: Shows one.
        is_for_people: Whether floods are folded.
    """

    def __init__(
        self,
        write: Callable[[OutputLine], object],
        is_for_people: Callable[[], bool] = bool,
    ) -> None:
        self._write = write
        self._is_for_people = is_for_people
        self._lines = Lines()
        self._second = 0.0
        self._shown = self._text = 0  # since then
        self._folded: dict[str, int] = {}

    def add(self, output_id: str, entry: LogEntry) -> None:
        """A call has printed something."""
        index = None if entry.index < 0 else entry.index
        for text in self._lines.add((output_id, entry.place, entry.stream), entry.text):
            self._show(OutputLine(text, entry.stream, entry.name, index))

    def pause(self) -> None:
        """Nothing more is there for the moment."""
        self._tell_folded()

    def _show(self, line: OutputLine) -> None:
        if self._is_for_people() and self._is_too_much(line):
            self._folded[line.label] = self._folded.get(line.label, 0) + 1
        else:
            self._write(line)

    def _is_too_much(self, line: OutputLine) -> bool:
        now = time.monotonic()
        if now - self._second >= 1.0:
            self._second, self._shown, self._text = now, 0, 0
            self._tell_folded()
        self._shown += 1
        self._text += len(line.text)
        return self._shown > _MOST_LINES or self._text > _MOST_TEXT

    def _tell_folded(self) -> None:
        folded, self._folded = self._folded, {}
        for label, number in folded.items():
            name, _, index = label.rpartition(" ")
            # The label is taken apart again: lines are counted by label, and written with name and
            # number.
            known = int(index) if name and index.isdecimal() else None
            text = f"… {count(number, 'more line')}: logs() of the handle has the last of them"
            self._write(OutputLine(text, "stderr", label if known is None else name, known))


def shown(wanted: Wanted) -> Output | None:
    """What ``Pymonik(output=...)`` asks for.

    Raises:
        UsageError: It is none of these.
    """
    if wanted == "quiet":
        return None
    if wanted == "live":
        return Output(_write, _is_seen)
    if not callable(wanted):
        raise UsageError(f"output= is 'live', 'quiet' or a function, not {wanted!r}")
    return Output(_careful(wanted))


def _careful(function: Callable[[OutputLine], object]) -> Callable[[OutputLine], object]:
    """The function; what it raises is logged, once."""
    has_failed = False

    def write(line: OutputLine) -> None:
        nonlocal has_failed
        try:
            function(line)
        except Exception:  # noqa: BLE001 - of the user
            if not has_failed:
                _log.exception("the function given as output= failed")
            has_failed = True

    return write


def _write(line: OutputLine) -> None:
    stream = _stream(line)
    if stream is None:
        return
    text = f"{line}\n"
    try:
        stream.write(f"{_ERASE}{text}" if _is_terminal(stream) else text)
        stream.flush()
    # The stream has an encoding that does not know a character: the text goes on in ASCII.
    except UnicodeError:
        stream.write(text.encode("ascii", "backslashreplace").decode())
    except (OSError, ValueError):  # the stream was closed
        return


def _stream(line: OutputLine) -> TextIO | None:
    return sys.stdout if line.stream == "stdout" and _is_notebook() else sys.stderr


def _is_seen() -> bool:
    return _is_notebook() or _is_terminal(sys.stderr)


def _is_notebook() -> bool:
    if "IPython" not in sys.modules:
        return False
    from pymonik.runs.notebook import is_notebook

    return is_notebook()


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except (AttributeError, ValueError):  # a program's own stream, or one that is closed
        return False
