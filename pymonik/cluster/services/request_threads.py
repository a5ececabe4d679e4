"""The threads that answer requests: as many as there are requests at once, and no more for long.

The pool of the standard library never ends a thread. Each has some small objects, and the
interpreter gives memory back by the MiB, once nothing is in it: a few threads that were started
while the tables were large would keep most of what the tables took.
"""

from __future__ import annotations

import queue
import threading
from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

IDLE_S = 1.0  # seconds without a request after which a thread ends; less than `memory.CALM_S`


class RequestThreads(Executor):
    """Starts a thread when none is free, and ends one that had nothing to do for a while.

    Nobody has to stop them: they do not keep the process alive.

    Args:
        most: How many there may be; past them, requests wait.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._threads = 0
        # Threads that wait, less requests in the queue; below 0 a thread is missing.
        self._spare = 0
        self._requests: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have a thread call this."""
        future: Future[Any] = Future()
        # The request first: a thread that is about to end looks at `_spare` under the lock, so
        # either it sees that it is needed, or this sees that one is missing.
        self._requests.put(lambda: _run(future, function, args, kwargs))
        with self._lock:
            self._spare -= 1
            if self._spare < 0 and self._threads < self._most:
                self._start_one()
        return future

    def _start_one(self) -> None:
        threading.Thread(target=self._serve, name="pymonik-control-plane", daemon=True).start()
        self._spare += 1
        self._threads += 1

    def _serve(self) -> None:
        while self._answer_one() or not self._ends():
            pass

    def _answer_one(self) -> bool:
        """Whether there was one. A method, so that nothing of it is kept while waiting."""
        try:
            answer = self._requests.get(timeout=IDLE_S)
        except queue.Empty:
            return False
        answer()
        with self._lock:
            self._spare += 1
        return True

    def _ends(self) -> bool:
        """Whether this thread is one too many; it is not if a request was given just now."""
        with self._lock:
            is_spare = self._spare > 0
            if is_spare:
                self._spare -= 1
                self._threads -= 1
            return is_spare


def _run(
    future: Future[Any],
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> None:
    try:
        result = function(*args, **kwargs)
    except BaseException as error:  # noqa: BLE001 - whoever asked for it gets it
        future.set_exception(error)
    else:
        future.set_result(result)
