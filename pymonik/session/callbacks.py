"""The thread in which callbacks of handles run: they may wait, invoke, and take their time."""

from __future__ import annotations

import logging
import queue
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymonik.session.result import ResultState

_log = logging.getLogger(__name__)
_IDLE_S = 1.0  # seconds without a callback after which the thread ends, until there is another


class Callbacks:
    """Runs callbacks of one session, one after the other."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._turn = threading.Lock()  # held by the thread

    def put(self, callback: Callable[[], object]) -> None:
        """Run this soon. For the thread that ends states."""
        self._waiting.put(callback)
        if not self._turn.locked():
            thread = threading.Thread(target=self._run, name="pymonik-callbacks", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # the interpreter ends, or the system has no thread left
                _log.warning("a callback was not called: %s", error)

    def _run(self) -> None:
        while self._turn.acquire(blocking=False):  # a second thread that was started leaves
            try:
                self._run_waiting()
            finally:
                self._turn.release()
            if self._waiting.empty():
                return

    def _run_waiting(self) -> None:
        while True:
            try:
                callback = self._waiting.get(timeout=_IDLE_S)
            except queue.Empty:
                return
            call(callback)
            del callback  # a callback refers to a handle, which would stay until the next one comes


class Callback:
    """A callback as an observer: told of the end, it runs in the thread of callbacks."""

    def __init__(self, callbacks: Callbacks, callback: Callable[[], object]) -> None:
        self._callbacks = callbacks
        self._callback = callback

    def ended(self, _: ResultState) -> None:
        """Have it called."""
        self._callbacks.put(self._callback)

    def unanswered(self, _: BaseException) -> None:
        """Nothing to do: a callback waits for nothing."""


def call(callback: Callable[[], object]) -> None:
    """Run a callback of the program; what it raises is logged, whatever it is."""
    try:
        callback()
    except BaseException:  # noqa: BLE001 - a thread that ends here would leave others waiting
        _log.exception("a callback failed")
