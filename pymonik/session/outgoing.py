"""Calls on their way out, until they leave in a batch.

::

    Submitted ──► series ──► waiting ──► batch ──► `Sending`
                     └──► behind ──┘
"""

from __future__ import annotations

from collections import deque
from itertools import chain
from typing import TYPE_CHECKING, Any

from pymonik.session.dependencies import dependency_failed, failed_input
from pymonik.session.groups import Gathering
from pymonik.session.result import Status
from pymonik.session.series import Series
from pymonik.session.tasks import OutgoingTask, RepeatedTask, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymonik.code.codec import Packed
    from pymonik.session import events
    from pymonik.session.ends import Ends
    from pymonik.session.paces import Paces
    from pymonik.session.result import ResultState
    from pymonik.session.sending import Sending

BATCH_BYTES = 16 * 1024 * 1024  # of the arguments of a batch; as much as one request takes
# Tasks that may wait to leave, and bytes of their arguments. Past these, `invoke` waits in its
# caller: a loop that makes calls faster than they are sent would fill the memory.
MOST_WAITING = 20_000
MOST_WAITING_BYTES = 256 * 1024 * 1024
# Tasks of the first batch, so that workers begin early; near, each following batch has twice as
# many.
_FIRST_TASKS = 32
_DELAY_S = 0.003  # seconds after the first call of a batch in which others may join it
# Seconds, over gRPC while a batch is under way: each batch costs three requests.
_LONG_DELAY_S = 0.1


class Outgoing:
    """Puts batches together: when somebody waits, when one is full, or when its time has come.

    Args:
        ends: Of the session.
        sending: Gets the batches.
        paces: Of series of calls.
        batch_tasks: Most tasks of one batch.
        is_near: Whether a batch is one request, of which many may follow each other.
    """

    def __init__(
        self, ends: Ends, sending: Sending, paces: Paces, batch_tasks: int, *, is_near: bool
    ) -> None:
        self._ends = ends
        self._sending = sending
        self._paces = paces
        self._batch_tasks = batch_tasks
        self._is_near = is_near
        self._gathering = Gathering()
        self._series: list[Series] = []
        # Tasks whose arguments are results of calls that have not been sent yet; they leave after
        # those.
        self._behind: list[OutgoingTask] = []
        self._waiting: deque[OutgoingTask] = deque()  # tasks that can leave, in their order
        self._waiting_bytes = 0
        self._full = min(_FIRST_TASKS, batch_tasks)  # tasks with which the next batch is full
        # When the first of `_waiting` has waited for long enough.
        self._leave_at: float | None = None
        self._hurried = 0  # of `_waiting`, so many of the first leave now: somebody waits for them

    @property
    def is_crowded(self) -> bool:
        """Whether callers should wait before they submit more."""
        waiting = len(self._waiting) + len(self._behind)
        return waiting >= MOST_WAITING or self._waiting_bytes >= MOST_WAITING_BYTES

    @property
    def has_calls(self) -> bool:
        """Whether some calls have not left."""
        return bool(self._waiting or self._behind or self._series or self._gathering)

    @property
    def room(self) -> int:
        """Calls that may join the next batch before it is full."""
        return max(1, self._full - len(self._waiting)) if self._waiting else 1

    def states(self) -> Iterator[ResultState]:
        """The states of the calls that have not left."""
        tasks = (state for task in (*self._waiting, *self._behind) for state in task.states)
        series = (one.states() for one in self._series)
        return chain(tasks, self._gathering.states(), *series)

    def next_at(self, now: float) -> float | None:
        """When calls may leave though nothing happens."""
        times = [at for one in self._series if (at := one.next_look_at(now)) is not None]
        if (since := self._gathering.since()) is not None:
            times.append(since + _DELAY_S)
        if self._waiting and self._sending.has_room and (at := self._due_at()) is not None:
            times.append(at)
        return min(times, default=None)

    # -- in ------------------------------------------------------------------------------------

    def submitted(self, event: events.Submitted, now: float) -> None:
        """Somebody has submitted calls."""
        if self._ends.closed is not None:
            self._ends.fail_all(event.states, self._ends.closed)
            return
        submission, states = event.submission, event.states
        if submission.chunk_size != 1 and len(states) > 1:
            pace = self._paces.of(submission)
            self._series.append(Series(submission, states, pace, now))
            return
        if submission.chunk_size > 1:
            self._gathering.add(submission, list(states), now)
            return
        for call, state in zip(submission.calls, states, strict=True):
            if state.status is Status.PENDING:
                task = OutgoingTask(
                    submission.function, (call,), submission.options, [state], code=submission.code
                )
                self._enqueue(task, now)

    def repeated(self, event: events.Repeated, now: float) -> None:
        """Somebody sends tasks again."""
        for task in event.tasks:
            if self._ends.closed is not None:
                self._ends.fail_all(task.states, self._ends.closed)
            else:
                self._enqueue(task, now)

    def _enqueue(self, task: OutgoingTask, now: float) -> None:
        if task.inputs and any(map(_is_unsubmitted, task.inputs)):
            self._behind.append(task)
            return
        self._waiting.append(task)
        self._waiting_bytes += task.nbytes
        if self._leave_at is None:
            self._leave_at = now + _DELAY_S

    def feed(self, now: float) -> None:
        """Move on what was held back: calls of series, and tasks that needed others to leave."""
        if self._gathering:
            self._move_gathered(now - _DELAY_S)
        if not self._series and not self._behind:
            return
        for series in self._series:
            for task in series.take_tasks(now, _needs_unsubmitted):
                self._enqueue(task, now)
                self.hurry()
        self._series = [one for one in self._series if one.has_calls]
        if self._behind:
            behind, self._behind = self._behind, []
            for task in behind:
                self._enqueue(task, now)
            self.hurry()  # they have waited for long enough

    def _move_gathered(self, before: float | None) -> None:
        """Have calls leave together that were gathered, those since ``before`` or all."""
        for group in self._gathering.take(before):
            submission = group.submission
            pairs = zip(group.calls, group.states, strict=True)
            left = [(call, state) for call, state in pairs if state.status is Status.PENDING]
            if len(left) > 1:
                calls, states = zip(*left, strict=True)
                pace = self._paces.of(submission)
                self._series.append(Series(submission.of(calls), states, pace, group.since))
            for call, state in left if len(left) == 1 else ():
                task = OutgoingTask(
                    submission.function, (call,), submission.options, [state], code=submission.code
                )
                self._enqueue(task, group.since)

    def hurry(self) -> None:
        """Have the tasks leave that wait now."""
        if self._gathering:
            self._move_gathered(None)
        self._hurried = len(self._waiting)

    def hurry_all(self) -> None:
        """Have all calls leave, in tasks of a guessed size where nothing is known."""
        for series in self._series:
            series.hurry()
        self.hurry()

    # -- out -----------------------------------------------------------------------------------

    def leave(self, now: float) -> None:
        """Send what is due."""
        while self._waiting and self._sending.has_room and self._is_due(now):
            batch = self._take_batch()
            if batch:
                self._sending.send(batch)
            elif self._hurried == 0:
                break
        if not self._waiting:
            self._leave_at, self._hurried = None, 0
            if self._sending.is_idle:
                self._full = min(_FIRST_TASKS, self._batch_tasks)

    def _is_due(self, now: float) -> bool:
        return (
            self._hurried > 0
            or len(self._waiting) >= self._full
            or self._waiting_bytes >= BATCH_BYTES
            or ((at := self._due_at()) is not None and now >= at)
        )

    def _due_at(self) -> float | None:
        """When the calls that wait leave by themselves; few requests follow each other far away."""
        if self._leave_at is None or self._is_near or self._sending.is_idle:
            return self._leave_at
        return self._leave_at + _LONG_DELAY_S - _DELAY_S

    def _take_batch(self) -> list[OutgoingTask]:
        """The next tasks that can run; those that need what is about to get an id stay behind."""
        batch: list[OutgoingTask] = []
        nbytes = 0
        while self._waiting and len(batch) < self._full:
            if batch and nbytes + self._waiting[0].nbytes > BATCH_BYTES:
                break
            task = self._waiting.popleft()
            self._waiting_bytes -= task.nbytes
            self._hurried = max(0, self._hurried - 1)
            if not self._can_run(task):
                continue
            if task.inputs and any(_is_unplaced(ref) for ref in task.inputs):
                self._behind.append(task)
                continue
            task.stage = Stage.LEAVING
            nbytes += task.nbytes
            batch.append(task)
            task.is_chosen = True
        for task in batch:
            task.is_chosen = False
        self._full = min(2 * self._full, self._batch_tasks) if self._is_near else self._batch_tasks
        return batch

    def _can_run(self, task: OutgoingTask) -> bool:
        """Leave out the calls that were given up, or need what has failed; whether any is left."""
        if task.inputs:
            for call, state in zip(task.calls, task.states, strict=True):
                error = failed_input(call) if call.refs else None
                if error is not None:
                    self._ends.fail(state, dependency_failed(error, "", state.result_id or ""))
        if isinstance(task, RepeatedTask):
            return any(state.status is Status.PENDING for state in task.states)
        states = [state for state in task.states if state.status is Status.PENDING]
        if len(states) < len(task.states):
            pairs = zip(task.calls, task.states, strict=True)
            task.calls = [call for call, state in pairs if state.status is Status.PENDING]
            task.states = states
        if not task.states:
            task.leave_series()
            return False
        task.number_items()
        return True

    # -- end -----------------------------------------------------------------------------------

    def fail_all(self, error: BaseException) -> None:
        """Nothing more leaves."""
        for series in self._series:
            self._ends.fail_all(series.give_up(), error)
        self._ends.fail_all(
            [one for group in self._gathering.take() for one in group.states], error
        )
        tasks = [*self._waiting, *self._behind]
        self._series, self._behind = [], []
        self._waiting.clear()
        self._waiting_bytes = 0
        for task in tasks:
            self._ends.fail_all(task.states, error)


def _is_unsubmitted(ref: Any) -> bool:
    """Whether what it refers to is a call that no task has yet."""
    state = ref._state
    return bool(
        state.status is Status.PENDING and state.awaited is None and state.result_id is None
    )


def _needs_unsubmitted(call: Packed) -> bool:
    return any(map(_is_unsubmitted, call.refs))


def _is_unplaced(ref: Any) -> bool:
    """Whether its result has no id, and gets none together with the tasks that are chosen now."""
    state = ref._state
    if state.status is not Status.PENDING or state.result_id is not None:
        return False
    awaited = state.awaited
    return not (isinstance(awaited, OutgoingTask) and awaited.is_chosen)
