"""`monitor`: a function that is called again and again until somebody stops it.

A monitor is a chain of short tasks, so that time limits, retries, priorities and cancelling hold
for it as for any other task, for weeks. A *turn* waits until a call is due, calls the function, and
hands its state to the next turn as its result; a worker that dies takes one call with it, which is
made again.

::

    start ──► turn ──► turn ──► … ──► turn ──► turn ──► …      the monitor's result is delegated
              └─ block: submitted together ─┘  └─ the last of a block submits the next one

Each row of ArmoniK's tables lists all ancestors of its task. So turns are not each the child of the
one before: one submits many, which wait for each other's results, and has one descendant for them.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import time
import traceback
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Concatenate, Final, Generic, Literal, ParamSpec, TypeVar

from pymonik.code import codec
from pymonik.context.task_context import PymonikContext, enter
from pymonik.errors import ControlPlaneError, PymonikError, SerializationError, UsageError
from pymonik.handles.result_handle import ResultHandle
from pymonik.quantities import positive_s
from pymonik.session.board import NAME as BOARD
from pymonik.session.board import read
from pymonik.session.current import session_of
from pymonik.session.protocol import Submission
from pymonik.session.result import ResultState
from pymonik.tasks.task import Task

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from pymonik.runs.rows import ResultRow
    from pymonik.session.protocol import Session, SessionOwner
    from pymonik.session.remote import RemoteSession

P = ParamSpec("P")
T = TypeVar("T")
_NOT_GIVEN: Any = object()

BLOCK: Final = 100  # turns that are submitted together; each row lists its ancestors, see above
STOP_S: Final = 5.0  # seconds that a client waits for its monitors before it cancels them
# Seconds of one turn whose calls change nothing and report nothing: a turn that goes on costs no
# row in the tables, but nobody sees it end, and its time limit counts for all its calls.
_LONGEST_TURN_S: Final = 300.0
# Seconds between two looks at whether somebody stops the monitor: no event reaches a call.
_LOOK_S: Final = 0.1
# Shortest and longest wait, in seconds, of a turn that shares its worker: after it the turn ends,
# so that other tasks get the worker.
_SHARED_S: Final = (0.05, 5.0)


@dataclass(frozen=True, slots=True)
class _State:
    """What one turn hands to the next.

    Attributes:
        values: ``context.state``.
        count: Calls so far.
        due: When the next one is, in seconds since the epoch.
        is_over: Nothing follows.
        value: Then, that of the handle.
        error: Then, what it raises.
        behind: The result that the turn before this has read. Whoever reads this state knows that
            that turn has ended well, so nobody will read that result again.
    """

    values: dict[str, Any] = field(default_factory=dict)
    count: int = 0
    due: float = 0.0
    is_over: bool = False
    value: Any = None
    error: BaseException | None = None
    behind: str = ""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a turn stands.

    Attributes:
        monitor: The id of the monitor's result; empty in the first turn, which makes it.
        left: Turns of its block that follow.
        job: The result that holds the arguments; empty where they travel with each turn.
    """

    monitor: str = ""
    left: int = 0
    job: str = ""


class MonitorContext(PymonikContext):
    """What a monitor knows of itself: its first argument.

    Attributes:
        state: A dict that is kept between calls, and when the worker dies.
        count: The number of this call, from 1.
    """

    def __init__(self, around: PymonikContext, state: _State, monitor: str) -> None:
        # Made at each call, so it shares everything of the task's context and makes nothing anew.
        self.__dict__.update(around.__dict__)
        self.state: dict[str, Any] = state.values
        self.count = state.count
        self._monitor = monitor
        self.has_reported = False
        self.ended_with: Any = _NOT_GIVEN

    def report(self, /, *, keep: int = 0, **fields: object) -> None:
        """Tell the program something; see `PymonikContext.report`."""
        self.has_reported = True
        if self._live is not None:
            self._live.report(dict(fields), keep, self._monitor)

    def progress(self, done: float, total: float | None = None) -> None:
        """Report how far it is."""
        self.report(done=done, total=total)

    def stop(self, value: Any = None) -> None:
        """Have this call be the last; ``value`` is that of the handle."""
        self.ended_with = value

    @property
    def stopping(self) -> bool:
        """Whether the monitor is to come to its end, or its worker is."""
        return self._is_stopping() or self._monitor in self._board().get("stops", ())


class _Turns(Generic[P]):
    """What the tasks of a monitor run.

    Args:
        function: Of the user.
        every_s: Seconds between two calls.
        on_error: As `monitor` has it.
        is_shared: Whether others run on the same worker meanwhile.
    """

    def __init__(
        self,
        function: Callable[Concatenate[Any, P], object],
        every_s: float,
        on_error: str,
        *,
        is_shared: bool,
    ) -> None:
        self._function = function
        self._every_s = every_s
        self._on_error = on_error
        self._is_shared = is_shared

    def __call__(self, context: PymonikContext, job: Any, state: _State, place: _Place) -> Any:
        """One turn."""
        behind = _forget_behind(context, state, place)
        if not place.monitor:
            # The first turn has the output of the monitor for its own, and hands its promise on:
            # the handle of the client keeps this one id through all turns.
            (output,) = context.expected_results
            place = replace(place, monitor=output)
        if not state.is_over:
            state = self._turn(context, job, state, place.monitor)
        state = replace(state, behind=behind)
        # Only the last turn of a block goes on: the others have a successor already, which waits
        # for this state.
        if place.left:
            return state
        if not state.is_over:
            self._submit_block(context, job, state, place)
            return None
        if state.error is not None:
            raise state.error
        return state.value

    # -- calls ---------------------------------------------------------------------------------

    def _turn(self, context: PymonikContext, job: Any, state: _State, monitor: str) -> _State:
        """Calls, until one has changed something that the next turn must know."""
        end = time.monotonic() + _LONGEST_TURN_S
        while time.monotonic() < end:
            own = MonitorContext(context, replace(state, count=state.count + 1), monitor)
            if not self._is_due(own, state.due):
                is_asked = monitor in context._board().get("stops", ())
                return replace(state, is_over=True) if is_asked else state
            # As bytes, since the function changes the dict in place: compared afterwards, and what
            # the state falls back to if it cannot travel.
            before = codec.dumps(state.values)
            # The next call is due one period after this one was, not after it ended; calls that
            # were missed (the worker was away) are not made up for, except one.
            due = max(state.due, time.time() - self._every_s) + self._every_s
            error, after = self._call(own, job, before)
            state = replace(state, count=own.count, values=own.state, due=due)
            if error is not None and self._on_error != "report":
                return replace(state, is_over=True, error=error)
            if own.ended_with is not _NOT_GIVEN:
                return replace(state, is_over=True, value=own.ended_with)
            if own.has_reported or after != before:
                return state
        return state

    def _call(
        self, own: MonitorContext, job: Any, before: bytes
    ) -> tuple[BaseException | None, bytes]:
        """Call the function once: what it raised, and the state after it, as it travels.

        A state that cannot travel is an error of the call, and the one before it stays.
        """
        args, kwargs = job
        # The call sees the `MonitorContext` in `get_context`, and the turn keeps its own.
        around = contextvars.copy_context()
        around.run(enter, lambda: own)
        raised: BaseException | None = None
        try:
            around.run(self._function, own, *args, **kwargs)
        except Exception as error:  # noqa: BLE001 - of the user
            raised = error
        try:
            after = codec.dumps(own.state)
        except Exception as error:  # noqa: BLE001 - of what the user has put there
            raised = raised or SerializationError(f"the state of a monitor cannot be kept: {error}")
            after, own.state = before, codec.loads(before)
        if raised is not None and self._on_error == "report":
            stack = "".join(traceback.format_exception(raised))
            own.report(count=own.count, error=f"{type(raised).__name__}: {raised}", stack=stack)
        return raised, after

    def _is_due(self, own: MonitorContext, due: float) -> bool:
        """Wait for the next call; whether it has come, and nobody wants the monitor to end."""
        shortest, longest = _SHARED_S
        most_s = (
            max(shortest, min(self._every_s / 4, longest)) if self._is_shared else _LONGEST_TURN_S
        )
        end = time.monotonic() + most_s
        # Due times are of the wall clock, as they travel between machines; how long this turn may
        # wait is measured with the clock that nobody sets.
        while not own.stopping:
            left_s = due - time.time()
            if left_s <= 0:
                return True
            if time.monotonic() >= end:
                return False
            time.sleep(min(left_s, _LOOK_S))
        return False

    # -- the next turns --------------------------------------------------------------------------

    def _submit_block(
        self, context: PymonikContext, job: Any, state: _State, place: _Place
    ) -> None:
        session: Any = context.session
        function = session.running
        if place.job:
            job = ResultHandle(ResultState(session, "monitor", place.job))
        last: Any = state
        # Each turn takes the result of the one before, so they run one after the other. The last
        # has the output of the monitor delegated to it.
        for left in range(BLOCK - 1, -1, -1):
            call = codec.pack_call((job, last, replace(place, left=left)), {})
            submission = Submission(function, [call], delegate=left == 0)
            last = ResultHandle(session.submit(submission)[0])


def _forget_behind(context: Any, state: _State, place: _Place) -> str:
    """Have the data go of a state that two turns have left behind; gives what this turn has read.

    Without it the states of all turns would stay as long as the session. Of the turn before, which
    may be tried again on ArmoniK until it has ended, everything stays.
    """
    if state.behind:
        context.session.forgotten.append(state.behind)
    if not place.monitor or place.left == BLOCK - 1:
        return ""  # the first turn, or the first of a block: its state is in its payload
    # The references of a call are in the order of its arguments: the state comes last.
    return str(context.session.references[-1].result_id)


class MonitorHandle(ResultHandle[Any]):
    """A monitor that was started; all that a handle has, and `stop`."""

    __slots__ = ("_job", "started")

    def __init__(self, state: ResultState, job: ResultHandle[Any] | None = None) -> None:
        super().__init__(state)
        self._job = job  # a handle: the data of the arguments stay as long as it does
        self.started = time.time()

    def stop(self) -> None:
        """Ask it to end after the call that runs; its value is then ``None``."""
        board = getattr(self._state.session, "board", None)
        if not self.done() and board is not None:
            board.stop(self.result_id_of_state)

    @property
    def result_id_of_state(self) -> str:
        """The id of its result, which stays the same through all turns."""
        if self._state.result_id is None:
            self._state.session.send()
        return self._state.result_id or ""

    def cancel(self) -> None:
        """End it at once: the turn that runs is cancelled, and those that wait."""
        if self.done():
            return
        self.stop()
        session: Any = self._state.session
        row = session.lists.results([self.result_id_of_state]).get(self.result_id_of_state)
        if row is not None and row.owner:  # the last turn of the present block
            session.lists.cancel_tasks([row.owner])


class Monitor(Generic[P]):
    """A function under `monitor`; calling it calls the function once, here."""

    def __init__(
        self,
        function: Callable[Concatenate[Any, P], object],
        *,
        every_s: float,
        on_error: str,
        together: bool,
        options: dict[str, Any],
    ) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        name = getattr(function, "__name__", type(function).__name__)
        turns = _Turns[P](function, every_s, on_error, is_shared=together)
        self.task: Task[..., Any] = Task(turns, True, name, **options)  # noqa: FBT003

    def __call__(self, context: Any, /, *args: P.args, **kwargs: P.kwargs) -> object:
        """Call the function."""
        return self.function(context, *args, **kwargs)

    def start(
        self, /, *args: Any, pymonik: Session | SessionOwner | None = None, **kwargs: Any
    ) -> MonitorHandle:
        """Start it; gives the handle of what `MonitorContext.stop` is given.

        Args:
            args: Of the function, without its context.
            pymonik: The client; by default the current one.
            kwargs: Of the function; those that begin with ``pmk_`` are options of the task.
        """
        options = {name: kwargs.pop(name) for name in list(kwargs) if name.startswith("pmk_")}
        session: Any = session_of(pymonik)
        board = getattr(session, "board", None)
        if board is None:
            raise UsageError("a monitor is started by a program, not by a task")
        board.open()
        packed = codec.pack((args, kwargs), label="arguments")
        job: Any = (args, kwargs)
        stored = None
        if not packed.refs:
            stored = job = ResultHandle(session.put([packed], [f"{self.task.name} arguments"])[0])
        place = _Place(job=stored._state.result_id or "" if stored is not None else "")
        first = self.task.invoke(job, _State(), place, pymonik=session, **options)
        handle = MonitorHandle(first._state, stored)
        session.monitors.append(handle)
        board.add_monitor(handle.result_id_of_state, self.task.name)
        return handle


def monitor(
    function: Callable[Concatenate[Any, P], object] | None = None,
    /,
    *,
    every: timedelta | float,
    on_error: Literal["raise", "report"] = "raise",
    together: bool = False,
    **options: Any,
) -> Any:
    """Decorator: a function that is called again and again until it is stopped.

    Its first argument is a `MonitorContext`.

    Args:
        function: The function.
        every: Seconds between two calls, or a `timedelta`.
        on_error: Whether an exception ends the monitor, or is a report with ``error`` and
            ``stack`` after which it goes on.
        together: Whether its worker runs other tasks while it waits; calls may then be late by up
            to five seconds for each monitor that does so.
        options: As `task` has them, for each turn.
    """
    if on_error not in ("raise", "report"):
        raise UsageError(f"on_error must be 'raise' or 'report', not {on_error!r}")
    every_s = positive_s(every, "every")

    def wrap(wrapped: Callable[Concatenate[Any, P], object]) -> Monitor[P]:
        return Monitor(
            wrapped, every_s=every_s, on_error=on_error, together=together, options=options
        )

    return wrap if function is None else wrap(function)


def running(session: RemoteSession, *, everywhere: bool = False) -> list[MonitorHandle]:
    """Monitors that go on: of a session, whoever has started them, or of all sessions.

    Raises:
        ControlPlaneError: It cannot be asked.
    """
    found = [one for one in session.monitors if not one.done()]
    own = {one.result_id_of_state for one in session.monitors}
    where = "" if everywhere else session.session_id
    for row in session.lists.results_named(BOARD, session_id=where, exactly=True):
        home = session if row.session_id == session.session_id else session.other(row.session_id)
        if home is not None:
            found += _of_others(home, row, own)
    return found


def _of_others(session: RemoteSession, board: ResultRow, own: set[str]) -> list[MonitorHandle]:
    """The monitors that the board of a session names and that are not among our own."""
    with contextlib.suppress(ControlPlaneError):  # the session of the board is being deleted
        names = read(session.lists.data(board)).monitors
        rows = session.lists.results([one for one in names if one not in own])
        pending = [row for row in rows.values() if row.status == "CREATED"]
        states = [ResultState(session, names[row.result_id], row.result_id) for row in pending]
        session.follow(states)
        return [MonitorHandle(state) for state in states]
    return []


def stop_all(session: RemoteSession) -> None:
    """Stop the monitors of a session that is about to end, and cancel those that go on."""
    left = [one for one in session.monitors if not one.done()]
    for one in left:
        one.stop()
    end = time.monotonic() + STOP_S
    for one in left:
        try:
            one.exception(max(0.0, end - time.monotonic()))
        except PymonikError:  # noqa: PERF203 - it takes longer
            one.cancel()
    if session.monitors and session.board is not None:
        with contextlib.suppress(PymonikError):  # the session may be closed by then
            ended = [one.result_id_of_state for one in session.monitors if one.done()]
            session.board.forget_monitors(ended)
