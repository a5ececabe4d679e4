"""The calls of `map_invoke` on their way to the outbox: together in tasks, a few tasks at a time.

::

    calls ──► the first ones, each alone ──► outbox          measured durations
                                               │◄───────────────────────────┐
    calls ──► as many as fit into half a second┘      ChunkReader: a task has ended

Some tasks for each worker are under way, the rest waits here until those tell how long calls take
(see `Pace`). Calls that refer to what waits here wait too. Whoever calls `flush` gets everything
sent at once, on a guess if need be.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from pymonik.errors import SessionClosedError, TaskCancelledError, UnavailableError, UsageError
from pymonik.session.result import Inputs, ResultState, Status
from pymonik.transport.chunks import ChunkState
from pymonik.transport.outbox import OutgoingTask
from pymonik.wire.call import MOST_CALLS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pymonik.code.codec import Packed
    from pymonik.session.protocol import Submission
    from pymonik.transport.chunks import ChunkReader
    from pymonik.transport.pace import Pace

_log = logging.getLogger(__name__)
_MOST_BYTES = 4 * 1024 * 1024  # of the arguments in one task
_CALLS_TOGETHER = 2 * MOST_CALLS  # workers begin with these while the next are packed
_GUESSED_TASKS = 1000  # about as many, when everything must leave and nothing is known


class _Series:
    """The calls of one `map_invoke` that have not left, and its tasks under way."""

    def __init__(self, submission: Submission, states: Sequence[ResultState], pace: Pace) -> None:
        self.function = submission.function
        self.options = submission.options
        self.calls = deque(submission.calls)
        self.states = deque(states)  # of the calls
        self.pace = pace
        self.under_way = 0
        self.first_at = time.monotonic()
        self.is_urgent = False
        self._guess = 1

    def hurry(self) -> None:
        """Have all tasks leave now."""
        if not self.is_urgent:
            self.is_urgent = True
            self._guess = 1 + len(self.calls) // _GUESSED_TASKS

    @property
    def has_room(self) -> bool:
        """Whether a task may leave now."""
        waited_s = time.monotonic() - self.first_at
        return self.is_urgent or self.under_way < self.pace.window(waited_s)

    @property
    def next_look_s(self) -> float | None:
        """Seconds until there may be room though nothing happened."""
        return self.pace.next_look_s(time.monotonic() - self.first_at)

    def next_size(self) -> int:
        """Calls of the next task."""
        left = len(self.calls)
        if self.is_urgent and not self.pace.is_known:
            return min(self._guess, left, MOST_CALLS)
        return self.pace.size(left)


class Feeder:
    """Puts calls into the outbox from a thread of its own, started with the first of them.

    Args:
        put: Takes tasks; may block.
        reader: Tells how tasks of several calls ended.
        reads_all: Whether results are near enough to be read for the durations alone.
    """

    def __init__(
        self,
        put: Callable[[Sequence[OutgoingTask]], None],
        reader: ChunkReader,
        *,
        reads_all: bool = True,
    ) -> None:
        self._put = put
        self._reader = reader
        self._reads_all = reads_all
        self._changed = threading.Condition()
        self._series: list[_Series] = []
        self._behind: list[OutgoingTask] = []  # they refer to what is held
        self._held: set[ResultState] = set()
        self._closed: BaseException | None = None
        self._thread: threading.Thread | None = None

    # -- used by the session -------------------------------------------------------------------

    def add(self, submission: Submission, states: Sequence[ResultState], pace: Pace) -> None:
        """Send the calls in tasks of a size that ``pace`` decides.

        Raises:
            SessionClosedError: The session was closed.
        """
        with self._changed:
            self._check_open()
            self._held.update(states)
            self._series.append(_Series(submission, states, pace))
            self._wake()

    def hold(self, tasks: Sequence[OutgoingTask]) -> bool:
        """Send ``tasks`` after what they refer to; ``False`` if nothing of that waits here."""
        with self._changed:
            if not self._held or not any(
                self._is_behind(call) for task in tasks for call in task.calls
            ):
                return False
            self._check_open()
            self._behind.extend(tasks)
            self._held.update(task.state for task in tasks)
            self._wake()
            return True

    def give_up(self, states: Sequence[ResultState]) -> None:
        """Cancel those of ``states`` that wait here."""
        with self._changed:
            waiting = [state for state in states if state in self._held and state.whole is None]
        _fail(waiting, TaskCancelledError("the call was cancelled before it was sent"))

    def flush(self) -> None:
        """Have everything so far leave now; returns when it is in the outbox."""
        if threading.current_thread() is self._thread:
            raise UsageError("send() was called while sending, perhaps in a callback of a handle")
        with self._changed:
            for series in self._series:
                series.hurry()
            self._changed.notify_all()
            waited = set(self._held)  # others may go on adding
            while not waited.isdisjoint(self._held) and self._is_running():
                self._changed.wait(1.0)

    def join(self) -> None:
        """Wait until everything has left and ended."""
        with self._changed:
            while (self._series or self._behind) and self._is_running():
                self._changed.wait(1.0)

    def close(self, error: BaseException) -> None:
        """Take no more; what waits fails with ``error``."""
        with self._changed:
            self._closed = error
            series, self._series = self._series, []
            behind, self._behind = self._behind, []
            self._held.clear()
            self._changed.notify_all()
        for one in series:
            _fail(one.states, error)
        _fail((task.state for task in behind), error)
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _check_open(self) -> None:
        if self._closed is not None:
            raise self._closed

    def _is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _wake(self) -> None:
        """The lock is held."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="pymonik-feeder", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    # -- thread --------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._send_tasks()
        except Exception as error:  # noqa: BLE001 - a defect must not leave anybody waiting
            _log.exception("calls that wait to be sent are given up")
            with self._changed:
                held = list(self._held)
            self.close(error)
            _fail(held, error)

    def _send_tasks(self) -> None:
        while tasks := self._next_tasks():
            self._send(tasks)
            del tasks  # whoever waits for the next ones must hold no arguments and no handles

    def _send(self, tasks: Sequence[OutgoingTask]) -> None:
        try:
            self._put(tasks)
        except Exception as error:  # noqa: BLE001 - every handle must learn why
            _fail((task.state for task in tasks), error)
        with self._changed:
            for task in tasks:
                self._held.discard(task.state)
                self._held.difference_update(task.items)
            self._changed.notify_all()

    def _next_tasks(self) -> list[OutgoingTask]:
        """Waits for tasks that may leave; empty at the end."""
        with self._changed:
            while self._closed is None:
                tasks = [task for series in self._series for task in self._tasks_of(series)]
                tasks += self._freed()
                if tasks:
                    return tasks
                self._series = [one for one in self._series if one.calls or one.under_way]
                self._changed.notify_all()
                self._changed.wait(self._next_look_s())
            return []

    def _next_look_s(self) -> float | None:
        looks = [series.next_look_s for series in self._series if series.calls]
        return min((one for one in looks if one is not None), default=None)

    def _tasks_of(self, series: _Series) -> list[OutgoingTask]:
        tasks: list[OutgoingTask] = []
        number = 0
        while (
            series.calls
            and number < _CALLS_TOGETHER
            and series.has_room
            and not self._is_behind(series.calls[0])
        ):
            calls, states, cancelled = _take(series, series.next_size())
            self._held.difference_update(cancelled)
            number += len(calls)
            if calls:
                tasks.append(self._task(series, calls, states))
        return tasks

    def _task(
        self, series: _Series, calls: Sequence[Packed], states: Sequence[ResultState]
    ) -> OutgoingTask:
        state, items = (_chunk(states), states) if len(states) > 1 else (states[0], ())
        series.under_way += 1
        refs = [ref for call in calls for ref in call.refs]
        inputs = Inputs(refs) if refs else None
        if items or (self._reads_all and not series.pace.is_known):
            self._reader.follow(state, items, partial(self._ended, series, state), inputs)
        else:
            state.when_final(partial(self._ended_alone, series, time.monotonic()))
            if inputs is not None:
                state.when_final(inputs)
        return OutgoingTask(series.function, calls, series.options, state, items)

    def _ended_alone(self, series: _Series, sent_at: float, state: ResultState) -> None:
        """A call alone has ended: it took no longer than since it was sent.

        That is enough to find out that it is short, and spares reading what may be large.
        """
        seconds = time.monotonic() - sent_at
        with self._changed:
            pace = series.pace
            is_news = state.error is None and (not pace.is_known or seconds < pace.call_s)
        self._ended(series, state, seconds if is_news else 0.0, 1)

    def _ended(self, series: _Series, state: ResultState, seconds: float, calls: int) -> None:
        """A task has ended; ``calls`` of it took ``seconds``."""
        error = state.error
        with self._changed:
            series.under_way -= 1
            if seconds > 0 and calls:
                series.pace.learn(seconds, calls)
            lost: list[ResultState] = []
            if isinstance(error, UnavailableError | SessionClosedError):
                lost = list(series.states)
                series.calls.clear()
                series.states.clear()
                self._held.difference_update(lost)
            self._changed.notify_all()
        if error is not None:
            _fail(lost, error)

    def _freed(self) -> list[OutgoingTask]:
        """Tasks that refer to nothing here any more, in their order."""
        freed: list[OutgoingTask] = []
        kept: list[OutgoingTask] = []
        for task in self._behind:
            (kept if any(map(self._is_behind, task.calls)) else freed).append(task)
        self._behind = kept
        self._held.difference_update(task.state for task in freed if task.state.is_final)
        return [task for task in freed if not task.state.is_final]

    def _is_behind(self, call: Packed) -> bool:
        return any(ref._state in self._held for ref in call.refs)


def _take(series: _Series, size: int) -> tuple[list[Packed], list[ResultState], list[ResultState]]:
    """The next calls that can share a task: they wait for the same, and fail with the same.

    Gives them, their states, and the states of those that were cancelled on the way.
    """
    calls: list[Packed] = []
    states: list[ResultState] = []
    cancelled: list[ResultState] = []
    nbytes = 0
    while series.calls and len(calls) < size:
        call = series.calls[0]
        nbytes += call.nbytes
        if calls and (nbytes > _MOST_BYTES or not _go_together(calls[0], call)):
            break
        series.calls.popleft()
        state = series.states.popleft()
        if state.status is Status.PENDING:
            calls.append(call)
            states.append(state)
        else:
            cancelled.append(state)
    return calls, states, cancelled


def _go_together(one: Packed, other: Packed) -> bool:
    return not (one.refs or other.refs) or _needed(one) == _needed(other)


def _needed(call: Packed) -> set[int]:
    """The results that a call has to wait for."""
    states = (ref._state for ref in call.refs)
    pending = [one for one in states if one.status is not Status.COMPLETED]
    return {id(one if one.whole is None else one.whole) for one in pending}


def _chunk(states: Sequence[ResultState]) -> ChunkState:
    whole = ChunkState(states[0].session, states[0].name)
    whole.items = states
    for number, state in enumerate(states):
        state.item = number
        state.whole = whole
    return whole


def _fail(states: Iterable[ResultState], error: BaseException) -> None:
    for state in states:
        state.fail(error)
