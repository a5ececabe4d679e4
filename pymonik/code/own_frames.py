"""Hides pymonik's own frames in tracebacks of tasks: a user looks for a line of their own.

IPython and pytest leave out frames with ``__tracebackhide__``. Plain Python prints every frame that
an exception passes, so ours are unlinked where it leaves us: at the end of a ``with Pymonik()``
block, and in `sys.excepthook` while a client is open.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

from pymonik.code.remote_frames import remote_part
from pymonik.code.sources import OWN_FOLDER
from pymonik.errors import PymonikError, TaskFailedError

if TYPE_CHECKING:
    from types import TracebackType

_attributes = BaseException.__dict__["__dict__"].__get__


def unlink(error: BaseException) -> None:
    """Take our frames out of the traceback of ``error``, if it is one of a task or of ours.

    Others keep them: they may be a defect of pymonik.
    """
    trace = error.__traceback__
    if remote_part(trace) is None and not issubclass(type(error), PymonikError):
        return
    while trace is not None and _is_own(trace) and trace.tb_next is not None:
        trace = trace.tb_next
    error.__traceback__ = trace
    while trace is not None:
        following = trace.tb_next
        while following is not None and _is_own(following):
            following = following.tb_next
        trace.tb_next = following
        trace = following


def _is_own(trace: TracebackType) -> bool:
    return trace.tb_frame.f_code.co_filename.startswith(OWN_FOLDER)


class UncaughtErrors:
    """Wraps `sys.excepthook` while anything is open that may raise an exception of a task."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._open = 0
        self._before: Any = None

    def open(self) -> None:
        """Wrap the hook, unless it is wrapped."""
        with self._lock:
            self._open += 1
            if self._open == 1:
                self._before, sys.excepthook = sys.excepthook, self._print

    def close(self) -> None:
        """Put back the hook at the last one; one that somebody has set since stays."""
        with self._lock:
            self._open -= 1
            if self._open == 0 and sys.excepthook == self._print:
                sys.excepthook = self._before

    def expect(self, error: BaseException) -> None:
        """Keep the hook until the program ends if ``error`` is one of a task.

        It leaves a ``with`` block, which closes the client, and is printed only after that.
        """
        if remote_part(error.__traceback__) is not None:
            self.open()

    def _print(
        self, kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        unlink(error)
        if remote_part(error.__traceback__) is not None:
            trace = error.__traceback__
            _leave_out_cause(error)
        self._before(kind, error, trace)
        if sys.version_info < (3, 11):  # which prints no notes
            for note in _attributes(error).get("__notes__", ()):
                sys.stderr.write(f"{note}\n")


def _leave_out_cause(error: BaseException) -> None:
    """The error that we gave as the cause says what our note says too."""
    from pymonik.code.exceptions import Note  # loaded with the session that raised it

    notes = _attributes(error).get("__notes__", ())
    if type(error.__cause__) is TaskFailedError and any(type(note) is Note for note in notes):
        error.__cause__ = None
        error.__suppress_context__ = False


uncaught_errors = UncaughtErrors()
