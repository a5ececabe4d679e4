"""Tasks on their way out: `submit` returns at once, a thread sends them in batches.

::

    submit ──► waiting tasks ──► batch ──► functions that are new, outputs, payloads ──► SubmitTasks

A batch leaves when somebody waits, when it is full, or a few milliseconds after its first call. The
first ones are full soon, so that workers begin while the next are on their way.
The outputs of a batch are created before its payloads are built, so calls that depend on each
other can leave together. Whatever goes wrong ends in the states of the calls: none is left hanging.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from pymonik.errors import SessionClosedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pymonik.code.codec import Packed, PackedFunction
    from pymonik.options import TaskOptions
    from pymonik.session.result import ResultState

_log = logging.getLogger(__name__)

BATCH_TASKS = 1000
_FIRST_TASKS = 32  # of the first batch; of each that follows it twice as many
BATCH_BYTES = 16 * 1024 * 1024
_DELAY_S = 0.003
_MOST_TASKS = 20_000  # past these bounds `submit` blocks
_MOST_BYTES = 256 * 1024 * 1024
_TASK_BYTES = 512  # of memory and request, besides the arguments


class OutgoingTask:
    """A call and the state of its result; or several calls, whose states are items of it."""

    __slots__ = ("calls", "function", "items", "nbytes", "options", "state")

    def __init__(
        self,
        function: PackedFunction,
        calls: Sequence[Packed],
        options: TaskOptions,
        state: ResultState,
        items: Sequence[ResultState] = (),
    ) -> None:
        self.function = function
        self.calls = calls
        self.options = options
        self.state = state
        self.items = items
        self.nbytes = _TASK_BYTES + sum(call.nbytes for call in calls)


class Outbox:
    """Sends tasks in batches from its own thread."""

    def __init__(
        self,
        send_batch: Callable[[Sequence[OutgoingTask]], None],
        *,
        batch_tasks: int = BATCH_TASKS,
    ) -> None:
        """``send_batch`` ends the states of what it cannot send, and may raise for all of them."""
        self._send_batch = send_batch
        self._batch_tasks = batch_tasks
        self._full = min(_FIRST_TASKS, batch_tasks)  # tasks of the next batch
        self._changed = threading.Condition()
        self._waiting: deque[OutgoingTask] = deque()
        self._waiting_bytes = 0
        self._taken = 0  # tasks put in so far
        self._sent = 0  # tasks that left, or failed
        self._send_up_to = 0
        self._first_at = 0.0
        self._closed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="pymonik-outbox", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, tasks: Sequence[OutgoingTask]) -> None:
        """Have ``tasks`` sent soon; blocks only while too much is waiting.

        Raises:
            SessionClosedError: The session was closed.
        """
        with self._changed:
            while self._is_full() and self._closed is None:
                self._send_up_to = self._taken
                self._changed.notify_all()
                self._changed.wait(1.0)
            if self._closed is not None:
                raise self._closed
            was_empty = not self._waiting
            if was_empty:
                self._first_at = time.monotonic()
            self._waiting.extend(tasks)
            self._waiting_bytes += sum(task.nbytes for task in tasks)
            self._taken += len(tasks)
            if was_empty or self._has_full_batch():
                self._changed.notify_all()

    def flush(self) -> None:
        """Have everything so far sent now, without waiting for it."""
        with self._changed:
            if self._send_up_to < self._taken:
                self._send_up_to = self._taken
                self._changed.notify_all()

    def drain(self) -> None:
        """Have everything so far sent, and wait until it is (or failed)."""
        self.check_thread()
        self.flush()
        with self._changed:
            target = self._taken
            while self._sent < target and self._thread.is_alive():
                self._changed.wait(1.0)

    def check_thread(self) -> None:
        """Refuse to wait for the thread of the outbox in that thread.

        Raises:
            UsageError: This is the thread.
        """
        if threading.current_thread() is self._thread:
            raise UsageError("send() was called while sending, perhaps in a callback of a handle")

    def close(self, error: BaseException | None = None) -> None:
        """Take no more tasks; send what waits, or fail it with ``error``."""
        with self._changed:
            if self._closed is None:
                self._closed = SessionClosedError(
                    "SubmitTasks", "this session is closed; open another `Pymonik()`"
                )
            dropped = list(self._waiting) if error is not None else []
            if error is not None:
                self._waiting.clear()
                self._waiting_bytes = 0
                self._sent += len(dropped)
            self._changed.notify_all()
        for task in dropped:
            if error is not None:
                task.state.fail(error)
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join()

    # -- thread --------------------------------------------------------------------------------

    def _run(self) -> None:
        while batch := self._next_batch():
            self._send(batch)
            del batch  # whoever waits for the next one must hold no arguments and no handles

    def _send(self, batch: Sequence[OutgoingTask]) -> None:
        try:
            self._send_batch(batch)
        except Exception as error:  # noqa: BLE001 - every handle must learn why, whatever it is
            _log.debug("a batch of %d tasks failed", len(batch), exc_info=error)
            for task in batch:
                task.state.fail(error)
        finally:
            with self._changed:
                self._sent += len(batch)
                self._changed.notify_all()

    def _next_batch(self) -> list[OutgoingTask]:
        """Waits for a batch; empty at the end."""
        with self._changed:
            if not self._waiting:
                self._full = min(_FIRST_TASKS, self._batch_tasks)
            while not self._is_due():
                if self._closed is not None and not self._waiting:
                    return []
                self._changed.wait(self._time_left())
            return self._take_batch()

    def _take_batch(self) -> list[OutgoingTask]:
        batch: list[OutgoingTask] = []
        nbytes = 0
        while self._waiting and len(batch) < self._full:
            if batch and nbytes + self._waiting[0].nbytes > BATCH_BYTES:
                break
            task = self._waiting.popleft()
            nbytes += task.nbytes
            batch.append(task)
        self._full = min(2 * self._full, self._batch_tasks)
        self._waiting_bytes -= nbytes
        self._first_at = time.monotonic()
        self._changed.notify_all()
        return batch

    def _is_due(self) -> bool:
        if not self._waiting:
            return False
        left = self._taken - len(self._waiting)  # tasks taken out before
        return (
            self._closed is not None
            or left < self._send_up_to
            or self._has_full_batch()
            or time.monotonic() - self._first_at >= _DELAY_S
        )

    def _time_left(self) -> float | None:
        if not self._waiting:
            return None
        return max(0.0005, self._first_at + _DELAY_S - time.monotonic())

    def _has_full_batch(self) -> bool:
        return len(self._waiting) >= self._full or self._waiting_bytes >= BATCH_BYTES

    def _is_full(self) -> bool:
        return len(self._waiting) >= _MOST_TASKS or self._waiting_bytes >= _MOST_BYTES
