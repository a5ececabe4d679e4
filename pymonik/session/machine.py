"""`Machine`: what a client knows of its session, and what happens to it. No threads, clock or I/O.

::

    Submitted ──► series ──► waiting ──► Send ──► pending ──► completed ──► states end
                     └──► behind ──┘                 │    └──► Read ──► items end
                                                     └──► aborted ──► Look ──► states fail

Events go in with the instant (`handle`, `tick`); requests come out (`take_requests`), and the
instant of the next look (`next_at`). News come twice, in any order, and not at all while the stream
is down: they are only news, a list is the truth. States are ended here and nowhere else.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import weakref
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from pymonik.code.opened_result import OpenedResult
from pymonik.errors import (
    ControlPlaneError,
    DependencyFailedError,
    SessionClosedError,
    TaskCancelledError,
    UnavailableError,
)
from pymonik.session import events
from pymonik.session.dependencies import dependency_failed, failed_input
from pymonik.session.pace import Pace
from pymonik.session.protocol import AUTO
from pymonik.session.result import Held, ResultState, Status
from pymonik.session.series import Series
from pymonik.session.tasks import Awaited, OutgoingTask, Stage, is_item
from pymonik.wire.call import WHOLE
from pymonik.wire.embedded import ABORTED, COMPLETED, DELETED, Ended

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pymonik.code.codec import Packed
    from pymonik.session.events import Contents, Reply, Request
    from pymonik.session.forgetting import Hold
    from pymonik.session.protocol import Submission

_log = logging.getLogger(__name__)

BATCH_TASKS = 1000
BATCH_BYTES = 16 * 1024 * 1024
MOST_WAITING = 20_000  # tasks; past these bounds callers wait
MOST_WAITING_BYTES = 256 * 1024 * 1024
_FIRST_TASKS = 32  # of the first batch, so that workers begin; of each that follows twice as many
_DELAY_S = 0.003  # after the first call of a batch, for others to join it
_MOST_SENDS = 4  # requests that submit tasks, at the same time
_QUICK_BYTES = 256 * 1024  # arguments of one task that go over the direct socket with it

_EARLY_LOOKS_S = (0.1, 0.5, 2.0, 5.0)  # while it is not known whether the stream is up
_SLOW_LOOK_S = 20.0  # while the stream is up and silent
_SIGN_OF_LIFE = 100  # results to ask about, when the stream is silent: is somebody there?
_MOST_LOOKED = 2000  # results of one look
_FIRST_POLL_S = 0.02
_POLL_GROWTH = 1.5

_PAUSES_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)  # between attempts while nobody answers
_LATE_S = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28)  # until completed data are there
_LATE_IN_ALL_S = 10.0  # after which whoever waits for data that are not there is told
_SILENT_S = 1.5  # without an answer before a line is logged
_READ_TOGETHER = 16  # results of one request
_AHEAD = 64  # results that are read with one that somebody wants
_AHEAD_BYTES = 1024 * 1024  # of one of them, at most
_KEPT_BYTES = 64 * 1024 * 1024  # of results that were read and not looked at
_KEPT = 1024  # such results: each has small objects of which its bytes tell nothing
_GATHER_S = 0.05  # forgotten results are deleted together
_MOST_FAILURES = 10_000  # that are remembered until somebody asks
_GUESSED_WORKERS = 2  # until the partition's number is known
_LARGE = 16  # a result that was not read counts as so many times the bytes that are read
_BYTES_PER_S = 128 * 1024 * 1024  # a result that is large is long, however soon it was made


@dataclass(slots=True)
class _Reading:
    """Data that were asked for."""

    since: float
    awaited: Awaited | None = None
    wants: list[_Want] = field(default_factory=list)
    ahead: weakref.ref[ResultState] | None = None
    attempts: int = 0


@dataclass(slots=True, eq=False)
class _Want:
    """A caller who waits for data."""

    ids: Sequence[str]
    reply: Reply
    found: dict[str, OpenedResult] = field(default_factory=dict)


@dataclass(slots=True)
class _Question:
    """A caller who waits for the answer to a request."""

    reply: Reply
    since: float
    attempts: int = 0


class Machine:
    """The tables of one session, and their transitions. For one thread.

    Args:
        batch_tasks: Most tasks of one request.
        new_id: Makes ids of results, where the cluster takes those; else it makes them itself.
        polling_s: Longest time between looks, where no stream tells of results.
        patience_s: Seconds without an answer after which whoever waits for one is told.
        hold: Gives what keeps the data of a result, where data that nobody holds are deleted.
        are_kept: Whether somebody may ask for forgotten results whom the session does not see.
        reads_ahead: Whether reading takes requests that are worth putting together.
    """

    def __init__(
        self,
        *,
        batch_tasks: int = BATCH_TASKS,
        new_id: Callable[[], str] | None = None,
        polling_s: float | None = None,
        patience_s: float = 30.0,
        hold: Callable[[str], Hold] | None = None,
        are_kept: Callable[[], bool] = lambda: False,
        reads_ahead: bool = True,
    ) -> None:
        self._batch_tasks = batch_tasks
        self._new_id = new_id
        self._polling_s = polling_s
        self._patience_s = patience_s
        self._hold = hold
        self._are_kept = are_kept
        self._reads_ahead = reads_ahead
        self._requests: list[Request] = []
        self._timers: list[tuple[float, int, Callable[[float], None]]] = []
        self._numbers = itertools.count()
        # On the way out.
        self._paces: WeakKeyDictionary[object, Pace] = WeakKeyDictionary()
        self._workers: dict[str, int] = {}
        self._series: list[Series] = []
        self._behind: list[OutgoingTask] = []  # they need what has not left yet
        self._waiting: deque[OutgoingTask] = deque()
        self._waiting_bytes = 0
        self._full = min(_FIRST_TASKS, batch_tasks)  # tasks of the next batch
        self._leave_at: float | None = None
        self._hurried = 0  # of the tasks that wait, so many leave now
        self._sends: dict[events.Send, int] = {}  # under way, and how often each was tried
        self._uploaded: set[str] = set()  # see `OutgoingTask.uploads`
        self._refused: list[tuple[OutgoingTask, ControlPlaneError]] = []
        self._flushes: list[Reply] = []
        self._drains: list[Reply] = []
        self._empties: list[Reply] = []
        # Under way.
        self._pending: dict[str, Awaited] = {}
        self._unseen: dict[str, None] = {}  # their news may have been missed
        self._aborted: dict[str, None] = {}
        self._is_stream_up = False
        self._stream_losses = 0
        self._look: events.Look | None = None
        self._look_at: float | None = None
        self._looks = 0  # since there is no stream
        self._look_failures = 0
        self._poll_s = _FIRST_POLL_S
        # Data.
        self._reading: dict[str, _Reading] = {}
        self._to_read: list[str] = []
        self._unread: dict[str, weakref.ref[ResultState]] = {}  # completed, in order
        self._kept: deque[tuple[weakref.ref[Held], int]] = deque()
        self._kept_bytes = 0
        self._forgotten: list[str] = []
        # Others.
        self._questions: dict[Request, _Question] = {}
        self._silent_since: float | None = None
        self._is_silence_told = False
        self._closed: BaseException | None = None
        self._end: tuple[Reply, float] | None = None
        self._last_reply: tuple[Reply, BaseException | None] | None = None
        self.failures: list[ResultState] = []  # neither cancelled nor for want of an input
        self.is_over = False
        self._handlers: dict[type[Any], Callable[[Any, float], None]] = {
            list: self._news,
            events.Submitted: self._submitted,
            events.Observed: self._observed,
            events.Unobserved: self._unobserved,
            events.Cancelled: self._cancelled,
            events.Flushed: self._flushed,
            events.Drained: self._drained,
            events.Emptied: self._emptied,
            events.Attached: self._attached,
            events.Wanted: self._wanted,
            events.Asked: self._asked,
            events.Ending: self._ending,
            events.Forgotten: self._forgot,
            events.StreamUp: self._stream_up,
            events.StreamLost: self._stream_lost,
            events.Created: self._created,
            events.Answered: self._answered,
            events.Gone: self._gone,
        }
        self._answers: dict[type[Request], Callable[[Any, events.Answered, float], None]] = {
            events.Send: self._sent,
            events.Look: self._looked,
            events.Read: self._read,
            events.Explain: self._explained,
            events.CountWorkers: self._counted,
            events.End: self._ended,
            events.CancelTasks: self._repeated,
            events.Delete: self._repeated,
        }

    # -- what drives it ------------------------------------------------------------------------

    def start(self) -> None:
        """Ask for the news, where there is a stream."""
        if self._polling_s is None:
            self._ask(events.Subscribe())

    def handle(self, event: Any, now: float) -> None:
        """Something has happened; a list is news of results."""
        self._handlers[type(event)](event, now)

    def tick(self, now: float) -> None:
        """Do what is due, after the events of a turn."""
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2](now)
        self._feed(now)
        self._leave(now)
        self._look_if_due(now)
        self._read_together()
        self._settle_refused()
        self._reply_if_done()

    def take_requests(self) -> list[Request]:
        """What to ask for, in order."""
        requests, self._requests = self._requests, []
        return requests

    def next_at(self, now: float) -> float | None:
        """When to `tick` though nothing happens."""
        times = [] if not self._timers else [self._timers[0][0]]
        if self._waiting and self._leave_at is not None and len(self._sends) < _MOST_SENDS:
            times.append(self._leave_at)
        if self._look_at is not None and self._look is None:
            times.append(self._look_at)
        looks = (series.next_look_at(now) for series in self._series)
        times.extend(at for at in looks if at is not None)
        return min(times, default=None)

    @property
    def is_crowded(self) -> bool:
        """Whether callers should wait before they submit more."""
        waiting = len(self._waiting) + len(self._behind)
        return waiting >= MOST_WAITING or self._waiting_bytes >= MOST_WAITING_BYTES

    @property
    def is_silent(self) -> bool:
        """Whether a request has been without an answer for long."""
        return self._is_silence_told

    @property
    def room(self) -> int:
        """Calls that may join the next batch before it is full."""
        return max(1, self._full - len(self._waiting)) if self._waiting else 1

    @property
    def is_idle(self) -> bool:
        """Whether nothing is left to be done."""
        return self.is_over and not self._reading and not self._questions

    def collapse(self, error: BaseException) -> None:
        """The machine broke: whoever waits for anything gets the reason, and nothing goes on."""
        self._closed = error
        self.is_over = True
        self._fail_unsent(error)
        self._fail_pending(error)
        for want in [want for reading in self._reading.values() for want in reading.wants]:
            want.reply.give(error=error)
        for reading in self._reading.values():
            self._fail_all(reading.awaited.states if reading.awaited else (), error)
        for question in self._questions.values():
            question.reply.give(error=error)
        if self._end is not None:
            self._end[0].give(error=error)
        self.take_leave()
        self._reading.clear()
        self._questions.clear()
        self._timers.clear()
        self._requests.clear()
        self._reply_if_done()

    # -- from callers: calls -------------------------------------------------------------------

    def _submitted(self, event: events.Submitted, now: float) -> None:
        if self._closed is not None:
            self._fail_all(event.states, self._closed)
            return
        submission, states = event.submission, event.states
        if submission.chunk_size != 1 and len(states) > 1:
            pace = self._pace(submission)
            self._series.append(Series(submission, states, pace, now))
            return
        for call, state in zip(submission.calls, states, strict=True):
            if state.status is Status.PENDING:
                task = OutgoingTask(
                    submission.function, (call,), submission.options, [state], code=submission.code
                )
                self._enqueue(task, now)

    def _pace(self, submission: Submission) -> Pace:
        """What is known of the calls, from those of the same series."""
        pace = self._paces.get(submission.series)
        if pace is None:
            partition = submission.options.partition_id or ""
            size = None if submission.chunk_size == AUTO else submission.chunk_size
            pace = Pace(self._workers.get(partition, _GUESSED_WORKERS), size)
            self._paces[submission.series] = pace
            if partition not in self._workers:
                self._ask(events.CountWorkers(partition))
            pace.partition = partition
        return pace

    def _counted(self, request: events.CountWorkers, event: events.Answered, _: float) -> None:
        if event.error is not None:  # it may be forbidden; those that run tasks are seen
            _log.debug("the workers of partition %r: %s", request.partition, event.error)
            return
        self._workers[request.partition] = event.value
        for pace in list(self._paces.values()):
            if pace.partition == request.partition:
                pace.may_run_on(event.value)

    def _enqueue(self, task: OutgoingTask, now: float) -> None:
        if task.inputs and any(map(_is_unsubmitted, task.inputs)):
            self._behind.append(task)
            return
        self._waiting.append(task)
        self._waiting_bytes += task.nbytes
        if self._leave_at is None:
            self._leave_at = now + _DELAY_S

    def _feed(self, now: float) -> None:
        if not self._series and not self._behind:
            return
        for series in self._series:
            for task in series.take_tasks(now, _needs_unsubmitted):
                self._enqueue(task, now)
                self._hurried = len(self._waiting)
        self._series = [one for one in self._series if one.has_calls]
        if self._behind:
            behind, self._behind = self._behind, []
            for task in behind:
                self._enqueue(task, now)
            self._hurried = len(self._waiting)  # they have waited for long enough

    def _leave(self, now: float) -> None:
        """Send what is due."""
        while self._waiting and len(self._sends) < _MOST_SENDS and self._is_due(now):
            batch = self._take_batch()
            if batch:
                self._send(batch)
            elif self._hurried == 0:
                break
        if not self._waiting:
            self._leave_at, self._hurried = None, 0
            if not self._sends:
                self._full = min(_FIRST_TASKS, self._batch_tasks)

    def _is_due(self, now: float) -> bool:
        return (
            self._hurried > 0
            or len(self._waiting) >= self._full
            or self._waiting_bytes >= BATCH_BYTES
            or (self._leave_at is not None and now >= self._leave_at)
        )

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
        self._full = min(2 * self._full, self._batch_tasks)
        return batch

    def _can_run(self, task: OutgoingTask) -> bool:
        """Leave out the calls that were given up, or need what has failed; whether any is left."""
        if task.inputs:
            for call, state in zip(task.calls, task.states, strict=True):
                error = failed_input(call) if call.refs else None
                if error is not None:
                    self._fail(state, dependency_failed(error, "", state.result_id or ""))
        if any(state.status is not Status.PENDING for state in task.states):
            pairs = zip(task.calls, task.states, strict=True)
            left = [pair for pair in pairs if pair[1].status is Status.PENDING]
            task.calls = [call for call, _ in left]
            task.states = [state for _, state in left]
        if not task.states:
            self._left(task)
            return False
        task.number_items()
        return True

    def _send(self, batch: list[OutgoingTask]) -> None:
        is_quick = self._new_id is not None and all(
            task.nbytes <= _QUICK_BYTES and self._uploaded.issuperset(task.uploads)
            for task in batch
        )
        if is_quick and self._new_id is not None:
            for task in batch:
                task.give_id(self._new_id())
                self._watch(task)
        request = events.Send(batch, is_quick, is_blind=not self._is_stream_up)
        self._sends[request] = 0
        self._ask(request)

    def _created(self, event: events.Created, now: float) -> None:
        for task in event.tasks:
            if task.states:
                self._watch(task)
        self._schedule_look(now + self._early_look_s())

    def _watch(self, awaited: Awaited) -> None:
        self._pending[awaited.result_id] = awaited
        if not self._is_stream_up and self._is_listed(awaited):
            self._unseen[awaited.result_id] = None

    def _is_listed(self, awaited: Awaited) -> bool:
        """Whether a list has it: where we make the ids, a task's request creates the result."""
        return (
            self._new_id is None
            or not isinstance(awaited, OutgoingTask)
            or awaited.stage is Stage.SENT
        )

    def _miss_news(self) -> None:
        """News of whatever is pending may have been missed."""
        listed = (i for i, awaited in self._pending.items() if self._is_listed(awaited))
        self._unseen = dict.fromkeys(listed)
        for send in self._sends:
            send.is_blind = True

    def _sent(self, request: events.Send, event: events.Answered, now: float) -> None:
        tries = self._sends.pop(request, 0)
        if isinstance(event.error, UnavailableError) and self._closed is None:
            again = events.Send(request.tasks, is_blind=True)
            self._sends[again] = tries + 1
            self._ask_later(again, now + _pause(tries))
            return
        if event.error is not None and request.is_quick and self._closed is None:
            again = events.Send(request.tasks, is_blind=True)  # finds out which of them is to blame
            self._sends[again] = tries
            self._ask(again)
            return
        refused: dict[int, tuple[OutgoingTask, ControlPlaneError]]
        refused = {id(task): (task, error) for task, error in event.value or ()}
        for task in request.tasks:
            if event.error is not None and not task.task_id:
                self._refuse(task, event.error)
            elif id(task) in refused:
                self._forget_pending(task)
                self._refused.append(refused[id(task)])
            else:
                self._submission_done(task)
                if request.is_blind and task.result_id in self._pending:
                    self._unseen[task.result_id] = None
        if self._unseen:
            self._schedule_look(now if self._is_stream_up else now + self._early_look_s())

    def _submission_done(self, task: OutgoingTask) -> None:
        self._uploaded.update(task.uploads)
        task.was_sent()
        if task.is_cancelled:
            self._cancel_tasks([task])

    def _refuse(self, task: OutgoingTask, error: BaseException) -> None:
        self._forget_pending(task)
        self._fail_all(task.states, error)
        self._left(task)
        if isinstance(error, SessionClosedError) and task.series is not None:
            self._fail_all(task.series.give_up(), error)

    def _forget_pending(self, task: OutgoingTask) -> None:
        self._pending.pop(task.result_id, None)
        self._unseen.pop(task.result_id, None)
        self._aborted.pop(task.result_id, None)

    def _settle_refused(self) -> None:
        """End tasks that were refused since one that they need has failed, once it is known which.

        The control plane may know of the failure before its news have come.
        """
        if not self._refused:
            return
        refused, self._refused = self._refused, []
        for task, error in refused:
            cause = _cause(task)
            if cause is not None:
                self._refuse(task, dependency_failed(cause, "", task.result_id))
            elif all(ref._state.is_final for ref in task.inputs) or self.is_over:
                self._refuse(task, error)
            else:
                self._refused.append((task, error))
                continue
            self._drop_orphans(task)

    def _drop_orphans(self, refused: OutgoingTask) -> None:
        """Tasks that need what was refused would wait for ever: no task will produce it."""
        lost = {id(state) for state in refused.states}
        for task in list(self._pending.values()):
            if not isinstance(task, OutgoingTask) or not task.inputs:
                continue
            if lost.isdisjoint(id(ref._state) for ref in task.inputs):
                continue
            cause = _cause(task) or ControlPlaneError("SubmitTasks", "refused")
            self._cancel_tasks([task])
            self._refuse(task, dependency_failed(cause, task.task_id, task.result_id))
            self._drop_orphans(task)

    def _left(self, task: Awaited) -> None:
        """A task has ended, or will not be sent."""
        if isinstance(task, OutgoingTask) and task.series is not None:
            task.series.under_way -= 1
            task.series = None

    # -- from callers: waits -------------------------------------------------------------------

    def _observed(self, event: events.Observed, _: float) -> None:
        self._hurry()
        alone = (event.observer,)
        for state in event.states:
            if state.status is Status.PENDING:
                state.observers = state.observers + alone if state.observers else alone
            else:
                event.observer.ended(state)

    def _unobserved(self, event: events.Unobserved, _: float) -> None:
        for state in event.states:
            if event.observer in state.observers:
                state.observers = tuple(o for o in state.observers if o is not event.observer)

    def _hurry(self) -> None:
        self._hurried = len(self._waiting)

    def _flushed(self, event: events.Flushed, _: float) -> None:
        for series in self._series:
            series.hurry()
        self._flushes.append(event.reply)
        self._hurry()

    def _drained(self, event: events.Drained, _: float) -> None:
        self._drains.append(event.reply)
        self._hurry()

    def _emptied(self, event: events.Emptied, _: float) -> None:
        self._empties.append(event.reply)
        self._hurry()

    def _reply_if_done(self) -> None:
        if self._flushes:
            for series in self._series:
                series.hurry()
            self._hurry()
            if self._is_all_sent():
                _give_all(self._flushes)
        if self._drains and not self.is_crowded:
            _give_all(self._drains)
        if self._empties:
            self._hurry()
            if self._is_all_sent() and not self._pending and not self._is_reading_items():
                _give_all(self._empties)

    def _is_all_sent(self) -> bool:
        unsent = self._waiting or self._behind or self._series or self._sends or self._refused
        return self.is_over or not unsent

    def _is_reading_items(self) -> bool:
        return any(reading.awaited is not None for reading in self._reading.values())

    # -- from callers: cancelling, attaching ---------------------------------------------------

    def _cancelled(self, event: events.Cancelled, _: float) -> None:
        found: dict[int, OutgoingTask | Awaited] = {}
        for state in event.states:
            if state.status is not Status.PENDING:
                continue
            awaited = state.awaited
            if awaited is None or (
                isinstance(awaited, OutgoingTask) and awaited.stage is Stage.WAITING
            ):
                self._fail(state, TaskCancelledError("the call was cancelled before it was sent"))
                continue
            if not is_item(state):
                found[id(awaited)] = awaited
                continue
            error = TaskCancelledError(
                "the call was cancelled", state.task_id, state.result_id or ""
            )
            self._fail(state, error)
            # Of a result that came out of a pickle it is not known which other calls share it.
            if awaited.is_ours and all(one.is_final for one in awaited.states):
                found[id(awaited)] = awaited
        self._cancel_tasks(list(found.values()))

    def _cancel_tasks(self, found: Sequence[Awaited]) -> None:
        tasks: dict[str, str] = {}
        for one in found:
            if isinstance(one, OutgoingTask) and one.stage is not Stage.SENT:
                one.is_cancelled = True
            elif one.result_id:
                tasks[one.result_id] = one.task_id if isinstance(one, OutgoingTask) else ""
        if tasks:
            self._ask(events.CancelTasks(tasks))

    def _attached(self, event: events.Attached, now: float) -> None:
        state = event.state
        if self.is_over and self._closed is not None:
            self._fail(state, self._closed)
            return
        self._follow(state.result_id or "", [state], (), is_ours=False)
        self._schedule_look(now)

    def _follow(
        self, result_id: str, states: list[ResultState], inputs: Sequence[Any], *, is_ours: bool
    ) -> None:
        """End states when another result does, and as their places in it say."""
        known = self._pending.get(result_id)
        if known is None and (reading := self._reading.get(result_id)) is not None:
            known = reading.awaited
        if known is None:
            known = Awaited(result_id, states, inputs, is_ours=is_ours)
            self._pending[result_id] = known
            self._unseen[result_id] = None
        else:
            known.states = [*known.states, *states]
            known.inputs = [*known.inputs, *inputs]
        is_there = result_id in self._reading and result_id not in self._pending
        for state in states:
            state.awaited = known
            if is_there and not is_item(state):
                state.complete()

    # -- news ----------------------------------------------------------------------------------

    def _news(self, ended: Sequence[Ended], now: float) -> None:
        pending = self._pending
        for one in ended:
            if one.status == COMPLETED:
                awaited = pending.pop(one.result_id, None)
                if awaited is not None:
                    self._completed(awaited, one.data, now)
            elif one.status in (ABORTED, DELETED) and one.result_id in pending:
                self._aborted[one.result_id] = None
                self._schedule_look(now)

    def _completed(self, awaited: Awaited, data: bytes | None, now: float) -> None:
        self._unseen.pop(awaited.result_id, None)
        self._aborted.pop(awaited.result_id, None)
        holds: tuple[Hold, ...] = ()
        if data is None and self._hold is not None:
            holds = (self._hold(awaited.result_id),)
        items = False
        for state in awaited.states:
            state.holds += holds
            if state.item == WHOLE:
                state.news = data
                if data is None and self._reads_ahead:
                    self._unread[awaited.result_id] = weakref.ref(state)
                state.complete()
            else:
                items = True
        if items or (isinstance(awaited, OutgoingTask) and awaited.wants_seconds):
            self._open(awaited, data, now)
        else:
            self._left(awaited)

    def _open(self, awaited: Awaited, data: bytes | None, now: float) -> None:
        """Find out how its calls ended, and how long they took."""
        reading = self._reading.get(awaited.result_id)
        if data is None or reading is not None:
            if reading is None:
                self._reading[awaited.result_id] = _Reading(now, awaited)
                self._to_read.append(awaited.result_id)
            else:
                reading.awaited = awaited
            return
        try:
            opened = OpenedResult(bytearray(data))
        except Exception as error:  # noqa: BLE001 - whoever waits must learn why, whatever it is
            self._unreadable(awaited, error)
            return
        if any(item.failed for item in opened.meta.items):
            self._reading[awaited.result_id] = _Reading(now, awaited)
            self._ask(events.Explain(awaited.result_id, opened))
        else:
            self._settle(awaited, events.Contents(opened))

    def _stream_up(self, _event: events.StreamUp, now: float) -> None:
        self._is_stream_up = True
        self._stream_losses = 0
        self._heard(now)
        self._miss_news()
        if self._unseen:
            self._schedule_look(now)

    def _stream_lost(self, event: events.StreamLost, now: float) -> None:
        _log.debug("the event stream ended: %s", event.error)
        self._is_stream_up = False
        if self.is_over:
            return
        if event.is_refused:
            _log.warning("no event stream (%s); results are polled", event.error)
            self._polling_s = self._polling_s or 0.5
        else:
            self._ask_later(events.Subscribe(), now + _pause(self._stream_losses))
            self._stream_losses += 1
        self._looks = 0
        self._miss_news()
        if self._pending:
            self._schedule_look(now)

    # -- looks ---------------------------------------------------------------------------------

    def _schedule_look(self, at: float) -> None:
        if self._look_at is None or at < self._look_at:
            self._look_at = at

    def _early_look_s(self) -> float:
        if self._polling_s is not None:
            self._poll_s = _FIRST_POLL_S
            return self._poll_s
        if self._is_stream_up:
            return _SLOW_LOOK_S
        return _EARLY_LOOKS_S[min(self._looks, len(_EARLY_LOOKS_S) - 1)]

    def _look_if_due(self, now: float) -> None:
        if self._look is not None:
            return
        if self._pending and self._look_at is None:
            self._schedule_look(now + self._early_look_s())
        if self._look_at is None or now < self._look_at:
            return
        self._look_at = None
        if ids := self._to_look_at():
            self._looks += 1
            self._look = events.Look(ids)
            self._ask(self._look)

    def _to_look_at(self) -> list[str]:
        """The results with news, and those whose news may have been missed."""
        if self._aborted and self._is_stream_up and not self._unseen:
            return list(islice(self._aborted, _MOST_LOOKED))
        if self._unseen and self._is_stream_up:
            ids = list(islice(self._unseen, _MOST_LOOKED))
            for one in ids:  # the stream tells of whatever happens from now on
                del self._unseen[one]
            return list(dict.fromkeys([*self._aborted, *ids]))
        most = _SIGN_OF_LIFE if self._is_stream_up and self._polling_s is None else _MOST_LOOKED
        listed = (i for i, awaited in self._pending.items() if self._is_listed(awaited))
        return list(islice(listed, most))

    def _looked(self, request: events.Look, event: events.Answered, now: float) -> None:
        self._look = None
        if event.error is not None:
            self._unseen.update(dict.fromkeys(i for i in request.ids if i in self._pending))
            self._schedule_look(now + _pause(self._look_failures))
            self._look_failures += 1
            return
        self._look_failures = 0
        found: events.Looked = event.value
        for result_id in found.completed:
            awaited = self._pending.pop(result_id, None)
            if awaited is not None:
                self._completed(awaited, None, now)
        for result_id, error in found.failed.items():
            _learn_of_failure(self._pending.get(result_id), found.seconds.get(result_id))
            self._failed(result_id, error)
        if self._pending:
            self._move_to_end(request.ids)
            self._schedule_look(now + self._next_look_s(len(found.completed)))

    def _move_to_end(self, ids: Sequence[str]) -> None:
        """A look takes the first of many: the next one takes others."""
        if len(self._pending) > _SIGN_OF_LIFE:
            for one in ids:
                if one in self._pending:
                    self._pending[one] = self._pending.pop(one)

    def _next_look_s(self, completed: int) -> float:
        if self._is_stream_up and (self._unseen or self._aborted):
            return 0.0
        if self._polling_s is not None:
            grown = _FIRST_POLL_S if completed else self._poll_s * _POLL_GROWTH
            self._poll_s = min(max(grown, _FIRST_POLL_S), self._polling_s)
            return self._poll_s
        return self._early_look_s()

    def _failed(self, result_id: str, error: BaseException) -> None:
        awaited = self._pending.pop(result_id, None)
        self._unseen.pop(result_id, None)
        self._aborted.pop(result_id, None)
        if awaited is not None:
            self._fail_all(awaited.states, error)
            self._left(awaited)

    # -- data ----------------------------------------------------------------------------------

    def _read_together(self) -> None:
        if not self._to_read:
            return
        ids = [one for one in dict.fromkeys(self._to_read) if one in self._reading]
        self._to_read = []
        for most, some in (
            (None, [one for one in ids if not self._is_for_seconds(one)]),
            (_AHEAD_BYTES, [one for one in ids if self._is_for_seconds(one)]),
        ):
            for start in range(0, len(some), _READ_TOGETHER):
                self._ask(events.Read(some[start : start + _READ_TOGETHER], most))

    def _is_for_seconds(self, result_id: str) -> bool:
        """Whether a result is read only for how long its call took: it may be large."""
        reading = self._reading[result_id]
        return (
            not reading.wants
            and reading.awaited is not None
            and not any(map(is_item, reading.awaited.states))
        )

    def _wanted(self, event: events.Wanted, now: float) -> None:
        want = _Want(event.ids, event.reply)
        for result_id in event.ids:
            reading = self._reading.get(result_id)
            if reading is None:
                reading = self._reading[result_id] = _Reading(now)
                self._to_read.append(result_id)
            reading.since = now
            reading.ahead = None
            reading.wants.append(want)
            self._unread.pop(result_id, None)
        if self._reads_ahead and len(event.ids) < _AHEAD:
            self._read_ahead(now)

    def _read_ahead(self, now: float) -> None:
        """Read small results that ended and nobody has asked for: they may be asked for next."""
        ids: list[str] = []
        while self._unread and len(ids) < _AHEAD:
            result_id = next(iter(self._unread))
            state = self._unread.pop(result_id)
            known = state()
            if known is not None and known.news is None and result_id not in self._reading:
                self._reading[result_id] = _Reading(now, ahead=state)
                ids.append(result_id)
        for start in range(0, len(ids), _READ_TOGETHER):
            self._ask(events.Read(ids[start : start + _READ_TOGETHER], _AHEAD_BYTES))

    def _read(self, request: events.Read, event: events.Answered, now: float) -> None:
        outcomes = event.value or [event.error] * len(request.ids)
        for result_id, outcome in zip(request.ids, outcomes, strict=True):
            reading = self._reading.get(result_id)
            if reading is None:
                continue
            if isinstance(outcome, events.Contents):
                del self._reading[result_id]
                self._arrived(reading, result_id, outcome)
            elif outcome is None and not reading.wants and reading.awaited is None:
                del self._reading[result_id]  # too large to be read ahead
            elif outcome is None and self._is_for_seconds(result_id):
                del self._reading[result_id]
                self._was_large(reading.awaited)
            elif outcome is None:
                self._to_read.append(result_id)
            else:
                self._not_read(reading, result_id, outcome, now)

    def _was_large(self, awaited: Awaited | None) -> None:
        """A call whose result is too large to be read for its seconds has a task of its own."""
        if isinstance(awaited, OutgoingTask):
            if awaited.series is not None:
                awaited.series.pace.learn(_AHEAD_BYTES / _BYTES_PER_S * _LARGE, 1)
            self._left(awaited)

    def _arrived(self, reading: _Reading, result_id: str, contents: Contents) -> None:
        opened = contents.opened
        if reading.awaited is not None:
            self._settle(reading.awaited, contents)
        for want in reading.wants:
            want.found[result_id] = opened
            if len(want.found) == len(set(want.ids)):
                want.reply.give([want.found[one] for one in want.ids])
        state = reading.ahead() if reading.ahead is not None else None
        if state is not None and state.news is None:
            state.news = self._keep(opened)

    def _not_read(
        self, reading: _Reading, result_id: str, error: BaseException, now: float
    ) -> None:
        """A failed download ends nothing: whoever waits goes on waiting, for data for long."""
        is_away = isinstance(error, UnavailableError)
        waited = now - reading.since
        if waited >= (self._patience_s if is_away else _LATE_IN_ALL_S):
            for want in reading.wants:
                want.reply.give(error=error)
            reading.wants.clear()
        if not isinstance(error, ControlPlaneError):  # it is there, and cannot be read
            del self._reading[result_id]
            for want in reading.wants:
                want.reply.give(error=error)
            if reading.awaited is not None:
                self._unreadable(reading.awaited, error)
            return
        if reading.awaited is None and not reading.wants:
            del self._reading[result_id]
            return
        pauses = _PAUSES_S if is_away else _LATE_S
        pause = pauses[min(reading.attempts, len(pauses) - 1)]
        reading.attempts += 1
        self._after(now + pause, lambda _: self._read_again(result_id))

    def _read_again(self, result_id: str) -> None:
        if result_id in self._reading:
            self._to_read.append(result_id)

    def _explained(self, request: events.Explain, event: events.Answered, _: float) -> None:
        reading = self._reading.pop(request.result_id, None)
        if reading is None:
            return
        if event.error is None:
            self._arrived(reading, request.result_id, event.value)
        elif reading.awaited is not None:
            self._unreadable(reading.awaited, event.error)

    def _unreadable(self, awaited: Awaited, error: BaseException) -> None:
        self._fail_all([state for state in awaited.states if is_item(state)], error)
        self._left(awaited)

    def _settle(self, awaited: Awaited, contents: Contents) -> None:
        """End each item as its place in the result says."""
        opened = contents.opened
        if isinstance(awaited, OutgoingTask) and awaited.series is not None:
            _learn(awaited.series.pace, opened)
        elsewhere: dict[str, list[ResultState]] = {}
        items = opened.meta.items
        head = opened.meta.without_items()
        held: Held | None = None
        for state in awaited.states:
            if state.status is not Status.PENDING:
                continue
            if state.item >= len(items):
                self._fail(state, ControlPlaneError("DownloadResultData", "an item is missing"))
                continue
            item = items[state.item]
            state.head = head
            if item.ref is not None:
                state.head = None  # that result has another head
                state.move(item.ref)
                elsewhere.setdefault(item.ref.result_id, []).append(state)
            elif item.failed:
                self._fail(state, contents.errors[state.item])
            else:
                if held is None:
                    held = self._keep(opened)
                state.news = held
                state.complete()
        for result_id, states in elsewhere.items():
            self._follow(result_id, states, awaited.inputs, is_ours=awaited.is_ours)
            self._schedule_look(0.0)
        self._left(awaited)

    def _keep(self, opened: OpenedResult) -> Held:
        """Keep a result for those whose values it holds, as long as there is room."""
        held = Held(opened)
        self._kept.append((weakref.ref(held), opened.nbytes))
        self._kept_bytes += opened.nbytes
        while len(self._kept) > 1 and (
            self._kept_bytes > _KEPT_BYTES or len(self._kept) > _KEPT or self._kept[0][0]() is None
        ):
            oldest, nbytes = self._kept.popleft()
            self._kept_bytes -= nbytes
            known = oldest()
            if known is not None:
                known.opened = None
        return held

    def _forgot(self, event: events.Forgotten, now: float) -> None:
        if not self._forgotten:
            self._after(now + _GATHER_S, self._delete)
        self._forgotten += event.ids
        if self._closed is not None:  # the channel may be closed before more come together
            self._delete(now)

    def _delete(self, _: float) -> None:
        ids, self._forgotten = self._forgotten, []
        if ids and not self._are_kept() and not self.is_over:
            self._ask(events.Delete(ids))

    # -- requests ------------------------------------------------------------------------------

    def _ask(self, request: Request) -> None:
        self._requests.append(request)

    def _ask_later(self, request: Request, at: float) -> None:
        self._after(at, lambda _: self._ask(request))

    def _after(self, at: float, action: Callable[[float], None]) -> None:
        heapq.heappush(self._timers, (at, next(self._numbers), action))

    def _asked(self, event: events.Asked, now: float) -> None:
        self._questions[event.request] = _Question(event.reply, now)
        self._ask(event.request)

    def _answered(self, event: events.Answered, now: float) -> None:
        if isinstance(event.error, UnavailableError):
            self._unanswered(now)
        else:
            self._heard(now)
        request = event.request
        question = self._questions.get(request)
        if question is None:
            self._answers[type(request)](request, event, now)
        elif isinstance(event.error, UnavailableError) and now - question.since < self._patience_s:
            self._ask_later(request, now + _pause(question.attempts))
            question.attempts += 1
        else:
            del self._questions[request]
            question.reply.give(event.value, event.error)

    def _repeated(self, request: Request, event: events.Answered, now: float) -> None:
        """Nobody waits for it, but it must be done."""
        if isinstance(event.error, UnavailableError) and not self.is_over:
            self._ask_later(request, now + _PAUSES_S[-1])
        elif event.error is not None:
            _log.debug("%s failed: %s", type(request).__name__, event.error)

    def _unanswered(self, now: float) -> None:
        if self._silent_since is None:
            self._silent_since = now
            self._after(now + _SILENT_S, partial(self._tell_silence, now))

    def _tell_silence(self, since: float, _: float) -> None:
        if self._silent_since == since and not self.is_over:
            self._is_silence_told = True
            _log.warning("the control plane does not answer; what is pending waits for it")

    def _heard(self, now: float) -> None:
        if self._silent_since is not None:
            if self._is_silence_told:
                _log.warning(
                    "the control plane answers again, after %.0f s", now - self._silent_since
                )
            self._silent_since, self._is_silence_told = None, False

    # -- end -----------------------------------------------------------------------------------

    def _ending(self, event: events.Ending, now: float) -> None:
        if self._closed is not None:
            event.reply.give()
            return
        if event.is_abandoned:
            _log.warning("a session was closed, since nothing refers to its client any more")
        how = "cancelled" if event.is_cancelled else "closed"
        self._closed = SessionClosedError(
            "SubmitTasks", f"this session is {how}; open another `Pymonik()`"
        )
        unsent = TaskCancelledError("the session was cancelled")
        self._fail_unsent(unsent if event.is_cancelled else self._closed)
        self._end = (event.reply, now)
        self._delete(now)
        self._ask(events.End(event.is_cancelled))

    def _ended(self, request: events.End, event: events.Answered, now: float) -> None:
        if self._end is None:
            return
        reply, since = self._end
        if isinstance(event.error, UnavailableError) and now - since < self._patience_s:
            self._ask_later(request, now + _PAUSES_S[-1])
            return
        self._end = None
        self.is_over = True
        why = "the session was cancelled"
        if not request.is_cancelled:
            why = "the session was closed before the task ended"
        self._fail_pending(TaskCancelledError(why))
        self._last_reply = reply, event.error

    def take_leave(self) -> None:
        """Tell whoever ended the session, once the channel is closed."""
        if self._last_reply is not None:
            reply, error = self._last_reply
            self._last_reply = None
            reply.give(error=error)

    def _gone(self, event: events.Gone, _: float) -> None:
        """Nobody will answer: nothing is waited for."""
        self._closed = self._closed or event.error
        self._fail_unsent(event.error)
        self._fail_pending(event.error)
        for question in self._questions.values():
            question.reply.give(error=event.error)
        self._questions.clear()
        for reading in self._reading.values():
            for want in reading.wants:
                want.reply.give(error=event.error)
        self._reading.clear()
        self._sends.clear()
        if self._end is not None:
            self._end[0].give(error=event.error)
            self._end = None
        self.is_over = True

    def _fail_unsent(self, error: BaseException) -> None:
        for series in self._series:
            self._fail_all(series.give_up(), error)
        tasks = [*self._waiting, *self._behind, *(task for task, _ in self._refused)]
        self._series, self._behind, self._refused = [], [], []
        self._waiting.clear()
        self._waiting_bytes = 0
        for task in tasks:
            self._fail_all(task.states, error)

    def _fail_pending(self, error: BaseException) -> None:
        for send in self._sends:
            for task in send.tasks:
                self._fail_all(task.states, error)
        for awaited in list(self._pending.values()):
            self._fail_all(awaited.states, error)
        self._pending.clear()
        self._unseen.clear()
        self._aborted.clear()

    def _fail_all(self, states: Iterable[ResultState], error: BaseException) -> None:
        for state in states:
            self._fail(state, error)

    def _fail(self, state: ResultState, error: BaseException) -> None:
        if state.status is not Status.PENDING:
            return
        state.fail(error)
        is_own = not isinstance(error, TaskCancelledError | DependencyFailedError)
        if is_own and len(self.failures) < _MOST_FAILURES:
            self.failures.append(state)


def _is_unsubmitted(ref: Any) -> bool:
    """Whether what it refers to is a call that no task has yet."""
    state = ref._state
    return bool(
        state.status is Status.PENDING and state.awaited is None and state.result_id is None
    )


def _cause(task: OutgoingTask) -> BaseException | None:
    """Why one of the results that a task needs will never be there, if one will not."""
    errors = (ref._state.error for ref in task.inputs)
    return next((error for error in errors if error is not None), None)


def _needs_unsubmitted(call: Packed) -> bool:
    return any(map(_is_unsubmitted, call.refs))


def _is_unplaced(ref: Any) -> bool:
    """Whether its result has no id, and gets none together with the tasks that are chosen now."""
    state = ref._state
    if state.status is not Status.PENDING or state.result_id is not None:
        return False
    awaited = state.awaited
    return not (isinstance(awaited, OutgoingTask) and awaited.is_chosen)


def _learn(pace: Pace, opened: OpenedResult) -> None:
    """Seconds that calls took, without those that run elsewhere; and who ran them."""
    meta = opened.meta
    if meta.origin is not None:
        pace.saw((meta.origin.host, meta.origin.pid, meta.origin.executor))
    if meta.seconds:
        calls = sum(item.ref is None for item in meta.items)
        pace.learn(max(meta.seconds, opened.nbytes / _BYTES_PER_S), max(1, calls))


def _learn_of_failure(awaited: Awaited | None, seconds: float | None) -> None:
    """A call that failed took its time too: a map whose calls fail need not stay at single tasks.

    A task of several whose process died says nothing of how long each of them takes.
    """
    if seconds is None or not isinstance(awaited, OutgoingTask) or awaited.chunked:
        return
    if awaited.series is not None:
        awaited.series.pace.learn(seconds, 1)


def _give_all(replies: list[Reply]) -> None:
    for reply in replies:
        reply.give()
    replies.clear()


def _pause(attempts: int) -> float:
    return _PAUSES_S[min(attempts, len(_PAUSES_S) - 1)]
