"""`InlineSession`: calls of a task that is run again here, run here too, at once."""

from __future__ import annotations

import inspect
import sys
from contextvars import copy_context
from typing import IO, TYPE_CHECKING, Any, NoReturn

from pymonik.code import codec, packed_function
from pymonik.code.outcome import finished, is_lazy
from pymonik.code.prepared import prepared
from pymonik.code.references import Referable, ReferableGroup
from pymonik.errors import DependencyFailedError, UsageError
from pymonik.files.client_reader import as_argument
from pymonik.seeds import RandomNumbers
from pymonik.session.result import ResultState
from pymonik.wire.call import WHOLE
from pymonik.wire.environment import Environment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pymonik.code.codec import Packed
    from pymonik.code.opened_result import OpenedResult
    from pymonik.seeds import Seed
    from pymonik.session.protocol import Drawn, Submission


class InlineSession:
    """Runs each call when it is submitted, in this thread; refuses what a task may not do.

    Args:
        session_id: What tasks are told.
        value_of: Gives the value of a result that is not of this session.

    Attributes:
        numbers: Random numbers of the call that runs now, which its context gives.
        setup: What the setup of its task gave, likewise.
    """

    environment = Environment()

    def __init__(self, session_id: str, value_of: Callable[[ResultState], object]) -> None:
        self.session_id = session_id
        self.numbers = RandomNumbers()
        self.setup: object = None
        self._value_of = value_of
        self._values: dict[int, object] = {}  # by the number in the id of the result
        self._states: list[ResultState] = []

    def submit(self, submission: Submission) -> list[ResultState]:
        """Run the calls, one after the other."""
        if submission.function.built_in is not None:
            raise UsageError(f"{submission.function.name} runs on a worker only")
        function = packed_function.load_function(submission.function.container)
        return [self._run(function, submission, call) for call in submission.calls]

    def _run(self, function: Any, submission: Submission, call: Packed) -> ResultState:
        state = self._new_state(submission.function.name)
        try:
            packed = codec.unpack(
                call.blobs,
                lambda slot: self._filled(call.refs[slot]),
                lambda slot: as_argument(call.files[slot], self),
            )
            value = self.call(function, *codec.arguments_of(packed))
        except Exception as error:  # noqa: BLE001 - of the user's function
            state.fail(error)
        else:
            self._complete(state, value)
        return state

    def call(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        seed: Seed | None,
    ) -> object:
        """What a call gives: with its own random numbers, and its setup, as on a worker."""
        __tracebackhide__ = True
        # Put back afterwards: a call that is run here may submit another one, which is run inside
        # it.
        around = self.numbers, self.setup
        try:
            setup: Callable[[], object] | None = getattr(function, "setup", None)
            self.setup = None if setup is None else _beside_loops(prepared, setup)
            self.numbers = RandomNumbers()
            self.numbers.begin(seed)
            return self._resolved(_outcome(function, args, kwargs))
        finally:
            self.numbers, self.setup = around

    def _resolved(self, value: object) -> object:
        """A value that a task returned: handles in its place are delegations."""
        if isinstance(value, Referable):
            return self._filled(value)
        if isinstance(value, ReferableGroup):
            return [self._filled(member) for member in value._members()]
        return value

    def _filled(self, handle: Referable) -> object:
        state = handle._state
        if state.session is not self:
            return self._value_of(state)
        if state.error is not None:
            raise DependencyFailedError(f"a result of {state.name} is needed") from state.error
        value: Any = self._values[int(state.result_id or "")]
        return value[state.output] if state.output else value

    def put(self, values: Sequence[Packed], names: Sequence[str]) -> list[ResultState]:
        """Keep values."""
        states = [self._new_state(name) for name in names]
        for state, packed in zip(states, values, strict=True):
            self._complete(state, codec.unpack(packed.blobs))
        return states

    def _new_state(self, name: str) -> ResultState:
        state = ResultState(self, name, str(len(self._states)), WHOLE)
        state.task_id = f"inline-{len(self._states)}"
        self._states.append(state)
        return state

    def _complete(self, state: ResultState, value: object) -> None:
        self._values[int(state.result_id or "")] = value
        state.complete()

    def send(self) -> None:
        """Nothing is left to send."""

    def before_end(self, drawn: Drawn) -> None:
        """Run what is left."""
        drawn.draw_all()
        drawn.raise_error()

    def fetch(self, _: Sequence[ResultState]) -> list[OpenedResult]:
        """Refused, as in a task."""
        self._refuse()

    def open_file(self, _: str) -> IO[bytes]:
        """Refused, as in a task."""
        self._refuse()

    def wait(self, *_: object, **_settings: object) -> None:
        """Refused, as in a task."""
        self._refuse()

    def observe(self, *_: object) -> None:
        """Refused, as in a task."""
        self._refuse()

    def ignore(self, *_: object) -> None:
        """Nothing to do: nobody observes."""

    def call_back(self, *_: object, **__: object) -> None:
        """Refused, as in a task."""
        self._refuse()

    def cancel(self, _: Sequence[ResultState]) -> None:
        """Nothing runs any more."""

    def _refuse(self) -> NoReturn:
        raise UsageError(
            "a task cannot wait for a result: pass the handle to another task, or return it"
        )


def _outcome(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a call gives on a worker, where coroutines and generators are run to their ends."""
    __tracebackhide__ = True
    value = function(*args, **kwargs)
    if not is_lazy(value):
        return value
    collects = bool(getattr(function, "collects", _yields(function)))
    return _beside_loops(finished, value, collects=collects)


def _yields(function: Callable[..., Any]) -> bool:
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


def _beside_loops(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call it in a thread of its own where a loop runs already, as in the cell of a notebook."""
    __tracebackhide__ = True
    if not _is_in_loop():
        return function(*args, **kwargs)
    from concurrent.futures import ThreadPoolExecutor

    # `asyncio` runs one loop in a thread. The context goes along, with the session that is
    # replayed.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(copy_context().run, function, *args, **kwargs).result()


def _is_in_loop() -> bool:
    asyncio: Any = sys.modules.get("asyncio")  # it takes long to import
    if asyncio is None:
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
