"""`Backlog`: calls that wait to be sent, and how many may be under way at once.

A call that was sent cannot be taken back unless it is cancelled, running or not. Calls of an
executor therefore wait here as long as the cluster has enough to do, and can be withdrawn from
here without any trace.

::

    add ──► waiting ──► `Window` has room: sent, many at once ──► under way ──► ended
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from pymonik.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from concurrent.futures import BrokenExecutor

    from pymonik.client.pymonik_client import Pymonik
    from pymonik.handles.call_future import CallFuture
    from pymonik.handles.result_handle import ResultHandle
    from pymonik.tasks.arguments import Arguments
    from pymonik.tasks.task import Task

# Seconds: a call that comes back so soon after it was sent did not wait for others.
_SOON_S = 0.1


class Window:
    """How many calls may be under way: as many as the cluster ends in a tenth of a second.

    It grows by one for each call that comes back within that time, so it doubles with each round
    trip, and shrinks by one for each that took longer.

    Args:
        least: Never fewer: two for each worker, so that none waits for the next call.
        most: Never more.
    """

    def __init__(self, least: float, most: float = math.inf) -> None:
        self._least = min(least, most)
        self._most = most
        self.size = self._least

    def came_back(self, seconds: float) -> None:
        """A call ended ``seconds`` after it was sent."""
        step = 1 if seconds < _SOON_S else -1
        self.size = min(max(self.size + step, self._least), self._most)

    def room(self, under_way: int) -> float:
        """How many calls to send now: none while three quarters are under way.

        Calls that are sent together can share a task of the cluster; one by one they cannot.
        """
        return self.size - under_way if under_way <= self.size * 0.75 else 0


class Waiting(NamedTuple):
    """A call that was not sent."""

    task: Task[..., Any]
    arguments: Arguments
    future: CallFuture[Any]


class Sent(NamedTuple):
    """A call that is under way.

    The task is kept because a call of the same function that is submitted meanwhile finds it
    pickled. The arguments are not.
    """

    task: Task[..., Any]
    future: CallFuture[Any]
    at: float


class Backlog:
    """The calls of one executor; thread-safe.

    Args:
        client: Where they are sent.
        window: How many are under way.
        broken_by: Says whether an error means that no call can succeed any more, and why.
    """

    def __init__(
        self,
        client: Pymonik,
        window: Window,
        broken_by: Callable[[BaseException | None], BrokenExecutor | None],
    ) -> None:
        self._client = client
        self._window = window
        self._broken_by = broken_by
        self._lock = threading.RLock()  # entered again by a callback or a finalizer of the user's
        self._idle = threading.Condition(self._lock)
        self._waiting: deque[Waiting] = deque()
        self._under_way = 0
        self._sending = False
        self._when_idle: Callable[[], None] | None = None
        self.broken: BrokenExecutor | None = None

    def add(self, calls: Iterable[Waiting]) -> None:
        """Have calls sent as soon as there is room."""
        with self._lock:
            self._waiting.extend(calls)
        self._send()

    def withdraw(self) -> None:
        """Cancel all calls that were not sent; those of a window without limit all were."""
        with self._lock:
            waiting, self._waiting = self._waiting, deque()
        for call in waiting:
            call.future.cancel()
            # As Python's executors do: a cancelled future tells those who `wait` for it only then.
            call.future.set_running_or_notify_cancel()
        self._look_whether_idle()

    def wait(self) -> None:
        """Block until all calls have ended."""
        with self._idle:
            self._idle.wait_for(self._is_idle)

    def when_idle(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` once, when all calls have ended: now if they have."""
        with self._lock:
            self._when_idle = callback
        self._look_whether_idle()

    # -- sending -------------------------------------------------------------------------------

    def _send(self) -> None:
        """Send what there is room for.

        One thread sends at a time, so that calls leave in order; others leave it to that one, which
        looks again before it stops.
        """
        while calls := self._take():
            self._send_all(calls)

    def _send_all(self, calls: Sequence[Waiting]) -> None:
        try:
            for task, of_task in groupby(calls, key=lambda call: call.task):
                self._send_together(task, list(of_task))
        except BaseException as error:  # Ctrl-C in the thread that submits
            for call in calls:
                if not call.future.running() and not call.future.done():
                    self._fail(call.future, error)
            raise
        finally:
            with self._lock:
                self._sending = False

    def _take(self) -> list[Waiting]:
        with self._lock:
            if self._sending:
                return []
            room = min(self._window.room(self._under_way), len(self._waiting))
            taken: list[Waiting] = []
            while self._waiting and len(taken) < room:
                call = self._waiting.popleft()
                if not call.future.cancelled():
                    taken.append(call)
                else:
                    call.future.set_running_or_notify_cancel()
            self._under_way += len(taken)
            self._sending = bool(taken)
        if not taken:
            self._look_whether_idle()
        return taken

    def _send_together(self, task: Task[..., Any], calls: Sequence[Waiting]) -> None:
        """Send calls of one function; one that cannot be sent fails alone."""
        if self.broken is not None:
            for call in calls:
                self._fail(call.future, self.broken)
            return
        items = [call.arguments for call in calls]
        sent_at = time.monotonic()
        try:
            handles = task.map_invoke(items, pymonik=self._client)
        except Exception as error:  # noqa: BLE001 - the future of the call has it
            # What is wrong with one call (an argument that cannot be pickled) must not fail the
            # others: they are sent one by one.
            if len(calls) == 1:
                self._fail(calls[0].future, _as_python_says(error))
                return
            for call in calls:
                self._send_together(task, [call])
            return
        for call, handle in zip(calls, handles, strict=True):
            call.future.follow(handle)
            ended = partial(self._ended, Sent(task, call.future, sent_at))
            handle._call_back(ended, ends_future=True)

    # -- ends ----------------------------------------------------------------------------------

    def _ended(self, sent: Sent, handle: ResultHandle[Any]) -> None:
        error = handle.exception()
        if error is not None and (broken := self._broken_by(error)) is not None:
            self.broken = broken
            sent.future.end_with(broken)
        else:
            sent.future.end(handle)
        with self._lock:
            self._window.came_back(time.monotonic() - sent.at)
            self._under_way -= 1
        self._send()

    def _fail(self, future: CallFuture[Any], error: BaseException) -> None:
        future.end_with(error)
        with self._lock:
            self._under_way -= 1
        self._look_whether_idle()

    def _is_idle(self) -> bool:
        return not self._waiting and not self._under_way

    def _look_whether_idle(self) -> None:
        with self._idle:
            if not self._is_idle():
                return
            self._idle.notify_all()
            # Taken out with the lock held, so that it is called once; called without it, as it
            # closes things.
            callback, self._when_idle = self._when_idle, None
        if callback is not None:
            callback()


def _as_python_says(error: Exception) -> Exception:
    """Without the index of an item: the caller of `submit` knows of one call only."""
    inner = error.__cause__
    return inner if isinstance(error, UsageError) and isinstance(inner, UsageError) else error
