"""A line on standard error while somebody waits at a terminal."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from typing import TYPE_CHECKING, Final, TextIO

from pymonik.runs.snapshot_lines import line

if TYPE_CHECKING:
    from pymonik.runs.watch import Watch

VARIABLE: Final = "PYMONIK_PROGRESS"  # "0" shows no line
_START: Final = "\r\x1b[K"  # to the first column; erases what stands in the line


def stream() -> TextIO | None:
    """Where a line may be shown now; ``None`` where nobody would see it, or nobody wants it."""
    if os.environ.get(VARIABLE, "").lower() in ("0", "no", "off", "false"):
        return None
    error = sys.stderr
    if error is None or os.environ.get("TERM") == "dumb":
        return None
    try:
        return error if error.isatty() else None
    except (AttributeError, ValueError):  # a program's own stream, or one that is closed
        return None


class TerminalLine:
    """Shows a `Watch` as one line that changes in place.

    Args:
        watch: What is shown.
        out: The terminal.
    """

    def __init__(self, watch: Watch, out: TextIO) -> None:
        self._watch = watch
        self._out = out
        self._lock = threading.RLock()  # a line must not be drawn after `hide` has erased it
        self._is_hidden = False
        self._is_drawn = False

    def refresh(self, now: float) -> bool:
        """Draw it."""
        self._watch.ask(now)
        snapshot = self._watch.look(now)
        text = f"▸ {line(snapshot)}"
        if snapshot.why:
            # The first line says how many wait, which the counts say already.
            text += f" · {snapshot.why.splitlines()[1].strip()}"
        width = shutil.get_terminal_size().columns
        with self._lock:
            if self._is_hidden:
                return False
            # A longer one would go on in the next line, where it could not be erased.
            self._write(_START + text[: max(1, width - 1)])
            self._is_drawn = True
        return True

    def hide(self) -> None:
        """Erase it, for good."""
        with self._lock:
            self._is_hidden = True
            if self._is_drawn:
                self._write(_START)

    def _write(self, text: str) -> None:
        try:
            self._out.write(text)
            self._out.flush()
        except (OSError, ValueError, UnicodeError):  # the terminal is gone, or knows no "▸"
            self._is_hidden = True
