"""FakeSession: the twin of a session in memory; real encoding, tasks run in line."""

from __future__ import annotations

import contextvars
import io
import threading
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from pymonik.code import codec, packed_function
from pymonik.code.exceptions import exception_of
from pymonik.code.failure import describe
from pymonik.code.opened_result import OpenedResult, join_value
from pymonik.code.references import Referable, ReferableGroup
from pymonik.context.task_context import PymonikContext, enter
from pymonik.errors import DependencyFailedError, UsageError
from pymonik.session.callbacks import Callback, Callbacks
from pymonik.session.current import activate, entered_session
from pymonik.session.result import Countdown, ResultState
from pymonik.wire.call import WHOLE
from pymonik.wire.environment import Environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pymonik.code.codec import Packed
    from pymonik.code.packed_function import PackedFunction
    from pymonik.session.protocol import Drawn, Session, Submission
    from pymonik.session.result import Observer
    from pymonik.wire.call import ResultRef


@contextmanager
def active(session: Session) -> Iterator[None]:
    """Make ``session`` the current one inside the block."""
    before = entered_session()
    activate(session)
    try:
        yield
    finally:
        activate(before)


class FakeSession:
    """Runs each call when it is submitted, or when `run_all` is called if ``lazy``."""

    def __init__(self, session_id: str = "session", *, lazy: bool = False) -> None:
        self.session_id = session_id
        self.environment = Environment()
        self.submissions: list[Submission] = []
        self.functions: dict[str, bytes] = {}
        self.fetched: list[str] = []
        self.fetches = 0
        self.stored: list[str] = []
        self.cancelled: list[ResultState] = []
        self._lazy = lazy
        self._lock = threading.Lock()  # of the observers
        self._callbacks = Callbacks()
        self._queue: list[tuple[PackedFunction, Packed, Submission, ResultState]] = []
        self._store: dict[str, bytes] = {}
        self._states: dict[str, ResultState] = {}

    def submit(self, submission: Submission) -> list[ResultState]:
        if submission.delegate:
            raise UsageError("delegate=True is for tasks")
        return self.run(submission)

    def run(self, submission: Submission) -> list[ResultState]:
        self.submissions.append(submission)
        function = submission.function
        if function.content_id not in self.functions:
            self.functions[function.content_id] = function.container
        states = [self._new_state(function.name) for _ in submission.calls]
        calls = zip(submission.calls, states, strict=True)
        self._queue += [(function, call, submission, state) for call, state in calls]
        if not self._lazy:
            self.run_all()
        return states

    def run_all(self) -> None:
        """Run what was submitted and did not run."""
        while self._queue:
            self._run(*self._queue.pop(0))

    def put(self, values: Sequence[Packed], names: Sequence[str]) -> list[ResultState]:
        states = [self._new_state(name) for name in names]
        self.stored += names
        for value, state in zip(values, states, strict=True):
            self.store(state, b"".join(join_value(value)))
        return states

    def open_file(self, result_id: str) -> IO[bytes]:
        return io.BytesIO(self._store[result_id])

    def store(self, state: ResultState, container: bytes) -> None:
        assert state.result_id is not None
        self._store[state.result_id] = container
        with self._lock:
            state.complete()

    def follow(self, states: list[ResultState]) -> None:
        for state in states:
            assert state.item == WHOLE
            known = self._states[state.result_id or ""]
            if known.error is not None:
                state.fail(known.error)
            else:
                state.complete()

    def other(self, session_id: str) -> None:
        """There is no other."""

    def send(self) -> None:
        pass

    def before_end(self, drawn: Drawn) -> None:
        self.drawn = drawn

    def wait(
        self,
        states: Sequence[ResultState],
        timeout: float | None,
        *,
        until_failure: bool = False,
        alarms: Sequence[ResultState] = (),
    ) -> None:
        countdown = Countdown(states, until_failure=until_failure)
        self.observe(states, countdown)
        self.observe(alarms, countdown.alarm)
        countdown.wait(timeout)

    def observe(self, states: Iterable[ResultState], observer: Observer) -> None:
        for state in states:
            with self._lock:
                if not state.is_final:
                    state.observers += (observer,)
                    continue
            observer.ended(state)

    def ignore(self, states: Iterable[ResultState], observer: Observer) -> None:
        pass

    def call_back(
        self, state: ResultState, callback: Callable[[], object], *, ends_future: bool = False
    ) -> None:
        self.observe([state], Callback(self._callbacks, callback))

    def fetch(self, states: Sequence[ResultState]) -> list[OpenedResult]:
        self.fetches += 1
        self.fetched += [str(state.result_id) for state in states]
        return [OpenedResult(self._store[str(state.result_id)]) for state in states]

    def cancel(self, states: Sequence[ResultState]) -> None:
        self.cancelled += states

    def wait_for_callbacks(self) -> None:
        """Return when those that were due have been called."""
        called = threading.Event()
        self._callbacks.put(called.set)
        assert called.wait(10)

    def _new_state(self, name: str) -> ResultState:
        number = len(self._states)
        state = ResultState(self, name, f"result-{number}")
        state.task_id = f"task-{number}"
        self._states[str(state.result_id)] = state
        return state

    def _run(
        self, function: PackedFunction, call: Packed, submission: Submission, state: ResultState
    ) -> None:
        task = packed_function.load_function(self.functions[function.content_id])
        task.adopt(function.content_id)
        context = PymonikContext(
            FakeTaskSession(self),
            task_id=state.task_id,
            session_id=self.session_id,
            options=submission.options,
        )

        def current() -> PymonikContext:
            return context

        try:
            args, kwargs = codec.unpack(call.blobs, lambda slot: self._value(call.refs[slot]))
            if task.require_context:
                args = (context, *args)
            with active(FakeTaskSession(self)):
                surroundings = contextvars.copy_context()
                surroundings.run(enter, current)
                value = surroundings.run(task.func, *args, **kwargs)
            self._end(state, value)
        except Exception as error:  # noqa: BLE001 - the user's function
            failed = exception_of(describe(error), state.task_id, str(state.result_id))
            with self._lock:
                state.fail(failed)

    def _end(self, state: ResultState, value: object) -> None:
        if isinstance(value, Referable):
            value = self._value(value)
        elif isinstance(value, ReferableGroup):
            value = [self._value(member) for member in value._members()]
        self.store(state, b"".join(join_value(codec.pack(value, label="result"))))

    def _value(self, handle: Referable) -> Any:
        state = handle._state
        if state.error is not None:
            raise DependencyFailedError("a dependency failed") from state.error
        return OpenedResult(self._store[str(state.result_id)]).value(state.item, self._follow)

    def _follow(self, ref: ResultRef) -> Any:
        return OpenedResult(self._store[ref.result_id]).value(ref.item, self._follow)


class FakeTaskSession:
    """What a task has as its session: it submits and does not wait."""

    def __init__(self, session: FakeSession) -> None:
        self._session = session
        self.session_id = session.session_id
        self.environment = session.environment

    def submit(self, submission: Submission) -> list[ResultState]:
        return self._session.run(submission)

    def put(self, values: Sequence[Packed], names: Sequence[str]) -> list[ResultState]:
        return self._session.put(values, names)

    def open_file(self, result_id: str) -> IO[bytes]:
        return self._session.open_file(result_id)

    def send(self) -> None:
        pass

    def before_end(self, drawn: Drawn) -> None:
        drawn.draw_all()

    def wait(
        self,
        states: Sequence[ResultState],
        timeout: float | None,
        *,
        until_failure: bool = False,
        alarms: Sequence[ResultState] = (),
    ) -> None:
        raise UsageError("a task cannot wait")

    def observe(self, states: Iterable[ResultState], observer: Observer) -> None:
        raise UsageError("a task cannot wait")

    def ignore(self, states: Iterable[ResultState], observer: Observer) -> None:
        pass

    def call_back(
        self, state: ResultState, callback: Callable[[], object], *, ends_future: bool = False
    ) -> None:
        raise UsageError("a task cannot wait")

    def fetch(self, states: Sequence[ResultState]) -> list[OpenedResult]:
        raise UsageError("a task cannot wait")

    def cancel(self, states: Sequence[ResultState]) -> None:
        raise UsageError("a task cannot cancel")
