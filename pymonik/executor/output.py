"""What a call prints: given on as it comes, and its last lines kept for the error message."""

from __future__ import annotations

import codecs
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNK = 1 << 16  # bytes: what a pipe holds
_KEPT = 4096  # characters
_LINES = 20


class OutputStream:
    """The reading end of an executor's stdout or stderr."""

    def __init__(
        self, fd: int, name: str, on_output: Callable[[str, str, str], None] | None
    ) -> None:
        self.fd = fd
        self.is_open = True
        self._name = name
        self._on_output = on_output
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._tail = ""
        self._line = ""  # the last one, whose end has not come
        os.set_blocking(fd, False)

    def drain(self, task_id: str) -> bool:
        """Give on what is there, as the output of ``task_id``; ``False`` at the end of it all."""
        while self.is_open:
            try:
                data = os.read(self.fd, _CHUNK)
            except BlockingIOError:
                break
            self.is_open = bool(data)
            self._give(task_id, self._decoder.decode(data, final=not data))
            if len(data) < _CHUNK:
                break
        return self.is_open

    def _give(self, task_id: str, text: str) -> None:
        if not text:
            return
        self._tail = (self._tail + text)[-_KEPT:]
        if self._on_output is not None and task_id:
            whole, end, rest = (self._line + text).rpartition("\n")
            self._line = rest
            if end:
                self._on_output(task_id, self._name, whole + end)
            if len(rest) > _CHUNK:
                self.finish(task_id)

    def finish(self, task_id: str) -> None:
        """Give on a line that the call did not end."""
        line, self._line = self._line, ""
        if line and self._on_output is not None:
            self._on_output(task_id, self._name, line)

    def forget(self) -> None:
        """The next call starts: its last lines are its own."""
        self._tail = ""

    def last_lines(self) -> str:
        """The end of what the call printed."""
        return "\n".join(self._tail.splitlines()[-_LINES:])

    def close(self) -> None:
        """Close the pipe; a writer that is left gets SIGPIPE."""
        self.is_open = False
        os.close(self.fd)
