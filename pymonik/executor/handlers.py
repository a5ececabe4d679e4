"""Handlers of signals: those that a call has set are put back after it."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # its `getsignal` makes no enums: 0.1 µs a signal
import functools
import signal
from typing import Any, Final

# SIGKILL and SIGSTOP have no handler that could be asked for.
_SIGNALS: Final = sorted({*map(int, signal.valid_signals())} - {signal.SIGKILL, signal.SIGSTOP})


class Handlers:
    """The handlers and the blocked signals of this process as they are now.

    To ask for all handlers after each task takes 2 µs. They are set in one way only, by the
    function that `signal.signal` calls, so that function is told apart from now on: it remembers
    that it was called. C code that sets one is not seen by Python in any case.
    """

    def __init__(self) -> None:
        self._blocked = _signal.pthread_sigmask(signal.SIG_BLOCK, ())
        self._before: list[Any] = []
        self._are_touched = False
        set_handler = _signal.signal

        @functools.wraps(set_handler)
        def remembered(number: int, handler: Any, /) -> Any:
            self._are_touched = True
            return set_handler(number, handler)

        _signal.signal = remembered

    def learn(self) -> None:
        """The handlers of the executor are set: they are what a call finds."""
        self._before = list(map(_signal.getsignal, _SIGNALS))
        self._are_touched = False

    def put_back(self) -> None:
        """Have all of them as they were."""
        if self._are_touched:
            self._put_back_touched()
        # An event loop of the call sets it to a socket of its own; a signal after the loop is gone
        # would be written to whatever has that number then.
        signal.set_wakeup_fd(-1)
        if _signal.pthread_sigmask(signal.SIG_BLOCK, ()) != self._blocked:
            signal.pthread_sigmask(signal.SIG_SETMASK, self._blocked)

    def _put_back_touched(self) -> None:
        # `getsignal` of C gives `None` for a handler that Python did not set, and a new object for
        # SIG_DFL and SIG_IGN each time: compared by `==` these are equal to those of before.
        for number, before in zip(_SIGNALS, self._before, strict=True):
            if before is not None and _signal.getsignal(number) != before:
                signal.signal(number, before)
        self._are_touched = False
