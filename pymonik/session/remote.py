"""`RemoteSession`: a session of the control plane as `pymonik.session.protocol.Session`.

Everything that happens is posted to the session's `Engine`; callers wait on locks of their own.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import weakref
from functools import partial
from typing import IO, TYPE_CHECKING, Any, Protocol

from pymonik import tracing
from pymonik.code.opened_result import OpenedResult, join_value
from pymonik.code.program import Program
from pymonik.errors import ControlPlaneError, SessionClosedError, UnavailableError, UsageError
from pymonik.session import events, own_threads, records
from pymonik.session.callbacks import Callback, Callbacks
from pymonik.session.ends import Failures
from pymonik.session.file_uploads import Files, sealed_in
from pymonik.session.forgetting import Hold, keep
from pymonik.session.found_calls import tell_found
from pymonik.session.pythons import Pythons
from pymonik.session.result import Countdown, Held, ResultState, Status
from pymonik.session.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pymonik.code.codec import Packed
    from pymonik.code.packed_function import PackedFunction
    from pymonik.code.references import Sealed
    from pymonik.code.with_calls import Code
    from pymonik.session.board import Board
    from pymonik.session.call_spans import CallSpan, CallSpans
    from pymonik.session.engine import Engine
    from pymonik.session.protocol import Drawn, Session, Submission
    from pymonik.session.recorded import RecordedRun
    from pymonik.session.recording import Recording
    from pymonik.session.result import Observer
    from pymonik.session.run import Run
    from pymonik.session.tasks import RepeatedTask
    from pymonik.wire.containers import Buffer
    from pymonik.wire.environment import Environment

_log = logging.getLogger(__name__)
# Seconds in which the engine, which waits for nobody, answers how many calls are unsent: longer
# only if it broke.
_LEAVES_S = 1.0
# ArmoniK's refusal to close or cancel a session that somebody else has closed or cancelled before.
_ENDED = "The session transition is invalid"


class Store(Protocol):
    """Data of a cluster on this machine: files and a socket, used by callers' own threads.

    It holds no lock between two steps of Python: an interrupt or a signal handler finds nothing
    half done.
    """

    def store(self, items: Sequence[tuple[str, Sequence[Buffer]]]) -> list[str]:
        """Create results from their (name, segments of data); their ids, in order."""

    def store_files(self, files: Sequence[Sealed]) -> list[str]:
        """Create raw results of files; their ids, in order."""

    def open(self, result_id: str) -> IO[bytes]:
        """The data of a completed result, as a file."""

    def fetch(self, ids: Sequence[str]) -> list[memoryview]:
        """The data of completed results, in order; writable, and nobody else's."""


class Live(Protocol):
    """What is told of running tasks; see `pymonik.runs.live`."""

    is_live: bool
    is_late: bool

    def ended(self, state: ResultState, opened: OpenedResult | None) -> None:
        """A call has ended of which perhaps nothing was heard."""

    def tail(self, output_id: str, place: int) -> str:
        """The last that a call has printed, as far as it was heard."""

    def catch_up(self) -> bool:
        """Wait until all that was heard is handled; `False` where that makes no progress."""

    def close(self) -> None:
        """Handle what was heard, and end."""


class LiveEvents(Protocol):
    """Hears of it for the others."""

    def start(self) -> None:
        """Hear from now on; does nothing the second time."""

    def give_up(self) -> None:
        """Hear no more."""

    def stop(self) -> None:
        """Stop hearing of tasks, after a last look at what was missed."""


class Hooks(Protocol):
    """What the program wants to be told of its calls; see `pymonik.handles.hooks`."""

    def submitted(self, states: Sequence[ResultState]) -> None:
        """Calls are about to leave."""


class RemoteSession:
    """Submits, waits and reads through an engine."""

    def __init__(
        self,
        engine: Engine,
        session_id: str,
        *,
        environment: Environment,
        partitions: Sequence[str] = (),
        default_partition: str = "",
        store: Store | None = None,
        forgets: bool = False,
        lists: Any = None,
        program: Program | None = None,
        pythons: Pythons | None = None,
        recording: Recording | None = None,
        nonce: str = "",
        open_other: Callable[[str], RemoteSession] | None = None,
        live: Live | None = None,
        live_events: LiveEvents | None = None,
        board: Board | None = None,
    ) -> None:
        """Calls can be submitted at once.

        Args:
            engine: Of the session, started.
            session_id: Its id.
            environment: What calls get around them.
            partitions: That calls may name.
            default_partition: Of calls that name none; ``""`` until the control plane was asked.
            store: Where callers read and write themselves, on the machine of the cluster.
            forgets: Whether results are deleted that nothing here refers to any more.
            lists: What the control plane can be asked for by people who look.
            program: What of it goes with calls; by default what they refer to.
            pythons: Versions of Python that its workers are known to have.
            recording: Of a session that others are to find again.
            nonce: Of the session, for what is recorded when it is left.
            open_other: Makes a session of the same cluster from its id.
            live: Hears of what running tasks tell.
            live_events: Tells it, where no news of the session do.
            board: What the program tells running tasks.
        """
        self._pythons = Pythons() if pythons is None else pythons
        self._engine = engine
        engine.belong_to(self)
        self._failures = Failures()
        engine.tell(self._failures)
        self._session_id = session_id
        self._environment = environment
        self._program = Program() if program is None else program
        self._partitions = frozenset(partitions)
        self._default_partition = default_partition
        self._store = store
        self._forgets = forgets
        self._recording = recording
        self._nonce = nonce
        self._open_other = open_other
        self._others: weakref.WeakValueDictionary[str, RemoteSession]
        self._others = weakref.WeakValueDictionary()
        self._unknown: set[str] = set()  # ids of sessions that other clusters have
        self.lists = lists
        self.live = live
        self.board = board
        self.hooks: Hooks | None = None  # told of each call, once somebody wants to know
        self._spans: CallSpans | None = None  # once the program has a module of OpenTelemetry
        self.monitors: list[Any] = []  # handles of those that were started here
        self._live_events = live_events
        self._drawn: list[Drawn] = []
        self._before_close: list[Callable[[], object]] = []
        # gRPC and threads do not survive a fork, so a child refuses to use this.
        self._pid = os.getpid()
        self._closed = ""  # how the program ended it: "closed", "cancelled", "left"
        self._needed: set[Session] = set()  # whose results are inputs here: not to be forgotten
        self._callbacks = Callbacks()
        self._ends_of_futures = Callbacks()
        self.weights = Weights()
        self.heavy: dict[bytes, ResultState] = {}  # arguments by content, until the session ends
        self._files = Files(partial(_store_files, engine, store))
        # Not at the exit of the interpreter: the cluster is about to learn of that anyway.
        self._when_abandoned(_abandon if recording is None else _let_go)
        if live_events is not None:
            weakref.finalize(self, live_events.give_up).atexit = False

    def _when_abandoned(self, end: Callable[[Engine], None]) -> None:
        self._abandoned = weakref.finalize(self, end, self._engine)
        self._abandoned.atexit = False

    # -- Session -------------------------------------------------------------------------------

    @property
    def session_id(self) -> str:
        """The id that the control plane gave."""
        return self._session_id

    @property
    def nonce(self) -> str:
        """By which lines of failures of its calls are believed; see `pymonik.wire.error_text`."""
        return self._nonce

    @property
    def environment(self) -> Environment:
        """What calls get around them."""
        return self._environment

    @property
    def is_open(self) -> bool:
        """Whether it takes calls, in this process."""
        return not self._closed and os.getpid() == self._pid

    def submit(self, submission: Submission) -> list[ResultState]:
        """One state for each call; see `pymonik.session.protocol.Session`.

        Raises:
            UsageError: A delegation, which only a task can do, or a partition out of reach.
            SessionClosedError: The session was closed or cancelled.
        """
        self._check_open("SubmitTasks")
        if submission.delegate:
            raise UsageError("delegate=True: only a task can delegate its result to another")
        self._check_partition(submission.options.partition_id)
        if self._pythons.has_others:
            self._check_python(submission)
        self._send_foreign(submission.calls)
        code = self._program.code(submission.function, submission.calls)
        if code is not submission.code:
            submission = submission.with_code(code)
        self.weights.look(submission)
        # Asked before anything of ours is imported: most programs have no OpenTelemetry.
        span = self._span_of(submission) if tracing.API in sys.modules else None
        if span is not None:
            submission = span.on(submission)
        if self._recording is not None:
            return self._submit_recorded(submission, self._recording, span)
        name = submission.function.name
        states = [ResultState(self, name) for _ in submission.calls]
        if submission.run is not None:  # before one of them can end: an error names its item
            submission.run.content_id = submission.function.content_id
            submission.run.add(states, submission.calls, submission.options)
        if self.hooks is not None:
            self.hooks.submitted(states)
        if span is not None:
            span.follow(states)
        self._send_calls(submission, states)
        return states

    def _span_of(self, submission: Submission) -> CallSpan | None:
        if self._spans is None:
            from pymonik.session.call_spans import CallSpans

            self._spans = CallSpans(self._session_id)
            self.before_close(self._spans.settle)
        return self._spans.begin(submission)

    def _submit_recorded(
        self, submission: Submission, recording: Recording, span: CallSpan | None
    ) -> list[ResultState]:
        """Submit calls of a recorded session: only those are sent that are not there already."""
        keys, found = recording.submitted(submission)
        name = submission.function.name
        states = [ResultState(self, name) for _ in keys]
        if submission.run is not None:
            submission.run.content_id = submission.function.content_id
            submission.run.add(states, submission.calls, submission.options)
        if self.hooks is not None:
            self.hooks.submitted(states)
        if span is not None:
            span.follow(states)
        recording.add(states, keys)
        known = [(s, item) for s, item in zip(states, found, strict=True) if item is not None]
        if known:
            for state, item in known:
                state.result_id, state.item = item.output_id, item.place
                state.task_id = item.task_id
            self._engine.post(events.Attached([state for state, _ in known]))
            tell_found(submission, len(known))
        pairs = zip(states, submission.calls, found, strict=True)
        new = [(state, call) for state, call, item in pairs if item is None]
        if new:
            self._send_calls(submission.of([call for _, call in new]), [state for state, _ in new])
        return states

    def _send_calls(self, submission: Submission, states: list[ResultState]) -> None:
        """Have them sent, but for those whose values the cache has."""
        if submission.finder is not None:
            left, pending = self._without_found(submission, states)
            if self._recording is not None:
                self._record_cached(submission, [one for one in states if one.is_final])
            self._post_calls(left, pending)
        else:
            self._post_calls(submission, states)

    def _record_cached(self, submission: Submission, states: list[ResultState]) -> None:
        """Have calls that the cache has ended be found with the others of their run."""
        run = submission.run
        if not states or run is None or self._recording is None:
            return
        label = run.root.label or submission.options.label or run.root.name
        made = records.of_cached(run, label, states, self._recording, self._nonce)
        self._ask(events.Store(made))

    def _post_calls(self, submission: Submission, states: list[ResultState]) -> None:
        if not states:
            return
        if files := sealed_in(submission):
            own_threads.check()  # before the lock: who has it may wait for this very thread
            self._files.upload(files)
        if self._live_events is not None:
            self._live_events.start()
        self._engine.post(events.Submitted(submission, states), is_urgent=len(states) > 1)
        if self._engine.is_crowded and not own_threads.is_own():
            self._engine.ask(events.Drained(events.Reply()))

    def _without_found(
        self, submission: Submission, states: Sequence[ResultState]
    ) -> tuple[Submission, list[ResultState]]:
        """Complete the states of calls whose values are there already: they are not sent."""
        assert submission.finder is not None
        found = submission.finder.found(submission, submission.code)
        for state, cached in zip(states, found, strict=False):
            state.cached = cached
            if cached.observer is not None:
                state.observers = (*state.observers, cached.observer)
            if cached.place is not None:
                state.result_id, state.item = cached.place.result_id, cached.place.item
                state.complete()
        pairs = zip(states, submission.calls, strict=True)
        left = [(state, call) for state, call in pairs if not state.is_final]
        return submission.of([call for _, call in left]), [state for state, _ in left]

    def repeat(self, tasks: Sequence[RepeatedTask]) -> None:
        """Send tasks again whose payloads the cluster has; the states of their calls are ours."""
        self._check_open("SubmitTasks")
        if self._recording is not None:
            for states in (task.states for task in tasks if task.states[0].run is not None):
                self._recording.add(states, [b"" for _ in states])
        self._engine.post(events.Repeated(tasks), is_urgent=True)

    def list_partitions(self) -> list[str]:
        """The partitions that calls may name."""
        partitions: list[str] = self._ask(events.ListPartitions())
        return partitions

    def before_end(self, drawn: Drawn) -> None:
        """Have ``drawn`` submit what is left of it before the session is closed."""
        self._drawn = [*(one for one in self._drawn if not one.is_exhausted), drawn]

    def put(self, values: Sequence[Packed], names: Sequence[str]) -> list[ResultState]:
        """Store values; they are there when this returns."""
        self._check_open("CreateResults")
        if any(packed.refs for packed in values):
            raise UsageError("put() takes values, not handles; pass the handle as an argument")
        items = [(name, join_value(packed)) for name, packed in zip(names, values, strict=True)]
        ids = self._ask(events.Store(items)) if self._store is None else self._store.store(items)
        states: list[ResultState] = []
        for name, result_id in zip(names, ids, strict=True):
            state = ResultState(self, name, result_id)
            if self._recording is not None:
                self._recording.stored(state, items[len(states)][1])
            if self._forgets:
                state.holds = (Hold(result_id, self._engine.forget),)
            state.complete()
            states.append(state)
        return states

    def store_notes(self, notes: Sequence[tuple[str, bytes]]) -> list[str]:
        """Store small results by (name, data) that are not values; gives their ids."""
        self._check_process()
        items = [(name, (data,)) for name, data in notes]
        ids: list[str] = self._ask(events.Store(items))
        return ids

    def delete(self, ids: Sequence[str]) -> None:
        """Delete the data of results; returns when they are gone."""
        self._check_process()
        if ids:
            self._ask(events.Delete(ids))

    def code_of(self, function: PackedFunction, calls: Sequence[Packed]) -> Code:
        """What these calls need of the program as it is now."""
        return self._program.code(function, calls)

    def before_close(self, action: Callable[[], object]) -> None:
        """Have ``action`` called once all calls have ended, before the session is closed."""
        self._before_close.append(action)

    def follow(self, states: list[ResultState]) -> None:
        """Keep states up to date of results that this object did not create."""
        self._check_process()
        if states:
            self._engine.post(events.Attached(states))

    def other(self, session_id: str) -> RemoteSession | None:
        """Another session of the same cluster; ``None`` if it has no such session."""
        known = self._others.get(session_id)
        if known is None and self._open_other is not None and session_id not in self._unknown:
            if self.lists.session(session_id) is None:
                self._unknown.add(session_id)  # ids are not used twice: it never will be
                return None
            known = self._others[session_id] = self._open_other(session_id)
        return known

    def recorded_states(self) -> dict[tuple[str, int], ResultState]:
        """Calls of this program, by where their values stand."""
        return {} if self._recording is None else self._recording.states()

    def came(self, run: Run, found: RecordedRun, states: Mapping[int, ResultState]) -> None:
        """Items of a run of another program have these states here; see `Recording.came`."""
        if self._recording is not None:
            self._recording.came(run, found, states)

    @property
    def is_recorded(self) -> bool:
        """Whether others can find its runs: what is in it stays until somebody deletes it."""
        return self._recording is not None

    def send(self) -> None:
        """Have everything submitted so far sent; afterwards each state has its result id.

        Raises:
            UnavailableError: Nobody has answered for long.
        """
        self._check_process()
        own_threads.check()
        self._engine.ask(events.Flushed(events.Reply()))

    def observe(self, states: Iterable[ResultState], observer: Observer) -> None:
        """Tell ``observer`` once of the end of each of the states; what waits is sent now."""
        self._check_process()
        pending = []
        for state in states:
            if state.status is Status.PENDING:
                pending.append(state)
            else:
                observer.ended(state)
        if pending:
            self._engine.post(events.Observed(pending, observer))

    def ignore(self, states: Iterable[ResultState], observer: Observer) -> None:
        """Take back `observe`."""
        self._engine.post(events.Unobserved(list(states), observer))

    def call_back(
        self, state: ResultState, callback: Callable[[], object], *, ends_future: bool = False
    ) -> None:
        """Run ``callback`` once the state is final, in a thread that is there for it."""
        callbacks = self._ends_of_futures if ends_future else self._callbacks
        self.observe([state], Callback(callbacks, callback))

    def wait(
        self,
        states: Sequence[ResultState],
        timeout: float | None,
        *,
        until_failure: bool = False,
        alarms: Sequence[ResultState] = (),
    ) -> None:
        """Block until all are final, or until one has failed."""
        self._check_process()
        pending = [state for state in states if state.status is Status.PENDING]
        if not pending:
            return
        own_threads.check()
        countdown = Countdown(pending, until_failure=until_failure, has_end=timeout is not None)
        self._engine.post(events.Observed(pending, countdown))
        if alarms:
            self._engine.post(events.Observed(alarms, countdown.alarm))
        try:
            countdown.wait(timeout)
        except BaseException:
            self._engine.post(events.Unobserved(pending, countdown))
            raise
        finally:
            if alarms:
                self._engine.post(events.Unobserved(alarms, countdown.alarm))

    def fetch(self, states: Sequence[ResultState]) -> list[OpenedResult]:
        """The results in which these completed states have their values, in order.

        Values do not share memory, except those of one chunk, which gives each of them anew.
        """
        self._check_process()
        found = [_read_already(state) for state in states]
        missing = [i for i, opened in enumerate(found) if opened is None]
        if missing:
            ids = [states[i].result_id or "" for i in missing]
            for i, opened in zip(missing, self._read(ids), strict=True):
                found[i] = opened
        results = [opened for opened in found if opened is not None]
        last: OpenedResult | None = None
        live, is_told = self.live, False
        for state, opened in zip(states, results, strict=True):
            if opened is not last:  # the values of a chunk come one after the other
                last = opened
                self._pythons.saw(opened.meta.origin)
                is_told = opened.meta.output and live is not None and live.is_late
            if is_told and live is not None:
                live.ended(state, opened)
        return results

    def cancel(self, states: Sequence[ResultState]) -> None:
        """Cancel the calls that produce these results; those that ended stay as they are.

        A task ends with the last of its calls. Does not wait for it.
        """
        self._check_process()
        self._engine.post(events.Cancelled([state.whole for state in states]))

    # -- end -----------------------------------------------------------------------------------

    def wait_for_all(self) -> None:
        """Block until everything that was submitted has ended."""
        if os.getpid() != self._pid:  # the session is the parent's
            return
        self._draw_all()
        own_threads.check()
        self._engine.ask(events.Emptied(events.Reply()))
        for action in self._before_close:
            action()

    def leave(self) -> None:
        """Send everything that was submitted, and let the session go on without this program.

        Handles go on to hear of it as long as there are some.
        """
        self._draw_all()
        self.send()
        for action in self._before_close:
            action()
        if self.live is not None:  # the program may end at once
            self.live.catch_up()
        self._be_left()

    def leave_at_once(self) -> int:
        """Leave without sending anything more; gives how many calls may not have been sent."""
        reply = events.Reply()
        self._engine.post(events.Dropped(reply))
        self._be_left()
        reply.wait(_LEAVES_S)
        return int(reply.value or 0)

    def count_unsent(self) -> int:
        """How many calls may not have been sent."""
        reply = events.Reply()
        self._engine.post(events.CountUnsent(reply))
        reply.wait(_LEAVES_S)
        return int(reply.value or 0)

    def _be_left(self) -> None:
        keep(self)
        self._closed = self._closed or "left"
        self._abandoned.detach()
        self._when_abandoned(_let_go)

    def record(self, states: Sequence[ResultState]) -> None:
        """Record the calls of these states, which have been sent, for others to find them."""
        items = records.of_states(states, self._nonce)
        if items:
            self._ask(events.Store(items))

    def close(self) -> None:
        """Close the session: it takes no more tasks, and those that wait do not start.

        Results that are there can still be fetched.
        """
        self._end("closed")

    def _draw_all(self) -> None:
        for drawn in self._drawn:
            if not drawn.is_exhausted:
                drawn.draw_all()
                drawn.raise_error()
        self._drawn = []  # who has the maps takes the handles

    def failures(self) -> list[ResultState]:
        """Calls that failed, neither cancelled nor for want of an input, as far as it remembers."""
        return list(self._failures.states)

    @property
    def failed_results(self) -> list[str]:
        """The results of calls that failed, as many as may stay when the session is purged."""
        return self._engine.failed_results

    def failures_of_any_time(self) -> Callable[[], Sequence[str]]:
        """Gives `failed_results`, when the session itself is gone, too."""
        engine = self._engine
        return lambda: engine.failed_results

    def take_unseen_failures(self) -> dict[str, list[ResultState]]:
        """Calls that failed and whose errors nobody looked at, by function; each is given once."""
        unseen: dict[str, list[ResultState]] = {}
        for state in self._failures.take():
            if not state.is_seen:
                unseen.setdefault(state.name, []).append(state)
        return unseen

    def cancel_all(self) -> None:
        """Cancel the session: every task of it stops, what waits to be sent is dropped."""
        self._end("cancelled")

    def _end(self, how: str) -> None:
        if os.getpid() != self._pid:  # the session is the parent's
            return
        ending = events.Ending(how == "cancelled", events.Reply())
        self._closed = self._closed or how
        self.heavy.clear()  # the stored arguments refer to the session
        self._abandoned.detach()
        if own_threads.is_own():
            self._engine.post(ending)
            return
        try:
            self._engine.ask(ending)
            self._hear_the_last()
        except SessionClosedError:
            _log.debug("session %s does not exist any more", self._session_id)
        except UnavailableError:
            raise
        except ControlPlaneError as error:
            if not error.detail.startswith(_ENDED):
                raise
            _log.debug("session %s had ended: %s", self._session_id, error.detail)

    def content(self, result_id: str) -> memoryview:
        """The bytes of a result that is there."""
        with self.open_file(result_id) as file:
            return memoryview(file.read())

    def open_file(self, result_id: str) -> IO[bytes]:
        """The bytes of a raw result that is there, as a file that nothing else reads."""
        self._check_process()
        if self._store is not None:
            return self._store.open(result_id)
        file = tempfile.TemporaryFile(prefix="pymonik-file-")  # noqa: SIM115
        try:
            self._ask(events.Download(result_id, file))
        except BaseException:
            file.close()
            raise
        file.seek(0)
        return file

    def _hear_the_last(self) -> None:
        """Have shown what tasks have told before they ended."""
        if self._live_events is not None:
            self._live_events.stop()
        if self.live is not None:
            self.live.close()

    # -- inside --------------------------------------------------------------------------------

    def _ask(self, request: events.Request) -> Any:
        return _ask(self._engine, request)

    def _read(self, ids: Sequence[str]) -> list[OpenedResult]:
        """The results, in order; a single value that comes again is read again: it can change."""
        unique = list(dict.fromkeys(ids))
        opened = dict(zip(unique, self._read_once(unique), strict=True))
        results, given = [], set()
        for one in ids:
            result = opened[one]
            if one in given and not result.meta.chunked:
                result = self._read_once([one])[0]
            given.add(one)
            results.append(result)
        return results

    def _read_once(self, ids: Sequence[str]) -> list[OpenedResult]:
        if self._store is not None:
            return [OpenedResult(data) for data in self._store.fetch(ids)]
        own_threads.check()
        opened: list[OpenedResult] = self._engine.ask(events.Wanted(ids, events.Reply()))
        return opened

    # -- checks --------------------------------------------------------------------------------

    def _check_process(self) -> None:
        if os.getpid() != self._pid:
            raise UsageError(
                "this session belongs to the parent process, and gRPC does not survive a fork; "
                "create a new `Pymonik()` here, or start processes with 'spawn'"
            )

    def _check_open(self, operation: str) -> None:
        self._check_process()
        if self._closed:
            raise SessionClosedError(
                operation, f"this session is {self._closed}; open another `Pymonik()`"
            )

    def _check_partition(self, partition: str | None) -> None:
        if partition is None or partition in self._partitions:
            return
        if not self._partitions:
            self._partitions = frozenset(self.list_partitions())
        if partition not in self._partitions:
            known = ", ".join(sorted(self._partitions))
            raise UsageError(
                f"partition {partition!r} is not one of this session ({known}); "
                f"name it when you connect: Pymonik(partition=[..., {partition!r}])"
            )

    def _check_python(self, submission: Submission) -> None:
        """Refuse code by value for workers that are known to have another Python."""
        partition = submission.options.partition_id or self._default_partition
        if not partition:
            if own_threads.is_own():
                return  # a finalizer of the program, which must not wait: the worker refuses it
            partition = self._default_partition = self.list_partitions()[0]
        self._pythons.check(partition, submission.function, submission.calls)

    def _send_foreign(self, calls: Sequence[Packed]) -> None:
        """Results of another session must have their ids before ours refers to them."""
        for call in calls:
            for ref in call.refs:
                state = ref._state
                if state.session is not self:
                    self._needed.add(state.session)
                if state.session is self or state.result_id or state.status is not Status.PENDING:
                    continue
                if state.session is not None:
                    state.session.send()


def _abandon(engine: Engine) -> None:
    """Nothing refers to the session any more: its client was dropped, and no handle is left."""
    engine.post(events.Ending(is_cancelled=False, reply=events.Reply(), is_abandoned=True))


def _let_go(engine: Engine) -> None:
    """End the engine of a session that others can find; the session goes on in the cluster."""
    engine.post(events.Ending(is_cancelled=False, reply=events.Reply(), is_left=True))


def _read_already(state: ResultState) -> OpenedResult | None:
    """The result, if its data came with the news or were read ahead, and are kept."""
    news, state.news = state.news, None  # a second reader fetches the value again
    if news is None:
        return None
    return news.opened if isinstance(news, Held) else OpenedResult(bytearray(news))


def _ask(engine: Engine, request: events.Request) -> Any:
    own_threads.check()
    return engine.ask(events.Asked(request, events.Reply()))


def _store_files(engine: Engine, store: Store | None, files: Sequence[Sealed]) -> Sequence[str]:
    """No method: a session that refers to itself is collected late, and its data stay as long."""
    if store is not None:
        return store.store_files(files)
    ids: Sequence[str] = _ask(engine, events.StoreFiles(files))
    return ids
