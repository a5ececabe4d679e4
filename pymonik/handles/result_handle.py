"""`ResultHandle`: what `invoke` gives back at once, for a value that comes later.

::

    invoke ──► pending ──► completed   `get` gives the value
                   └─────► failed      `get` and `wait` raise what the task raised

A handle is a view of a `ResultState`. Waiting and fetching are the session's business.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeAlias, TypeVar, overload

from pymonik.code.references import Referable
from pymonik.errors import UsageError
from pymonik.files.client_reader import files_of
from pymonik.handles.settling import UNKNOWN, ensure_saved, load, load_finished, settle, told
from pymonik.handles.stored_ids import StoredId
from pymonik.quantities import wait_s
from pymonik.runs import waiting
from pymonik.runs.looks import CallLook
from pymonik.session.callbacks import call
from pymonik.session.forgetting import keep, keep_results
from pymonik.session.result import ResultState, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

    from pymonik.cache.report import CacheReport
    from pymonik.files.file import File
    from pymonik.handles.call_future import CallFuture
    from pymonik.handles.call_outcome import Outcome

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
# A function that does not give its value at once has that value all the same: a type checker knows
# the coroutine or the generator that it returns, and these say what a handle of it gives.
_OfCoroutine: TypeAlias = "ResultHandle[Coroutine[Any, Any, R]]"
_OfGenerator: TypeAlias = "ResultHandle[Generator[R, Any, Any]]"


class ResultHandle(CallLook, Referable, Generic[R_co]):
    """Stands for the value of one call, or of `Pymonik.put`.

    Pass it as an argument, at any depth, and the task gets the value. It pickles without its
    client; see `result`.
    """

    __slots__ = ("__weakref__", "_state", "_value")

    def __init__(self, state: ResultState) -> None:
        self._state = state
        self._value: Any = UNKNOWN

    # -- identity ------------------------------------------------------------------------------

    @property
    def result_id(self) -> str:
        """The id of the result; sends what was not sent yet.

        The data stay in the cluster until the session is forgotten: somebody may ask by the id.
        """
        keep_results(self._state.session)
        if self._state.result_id is None:
            self._state.session.send()
        if self._state.result_id is None:
            raise self._state.error or UsageError("the call was not sent: it has no result id")
        if not self._state.task_id and self._state.status is Status.COMPLETED:
            return StoredId(self._state.result_id, self)
        return self._state.result_id

    @property
    def task_id(self) -> str:
        """The id of the task that produces the value; empty for data."""
        if not self._state.task_id:
            self._state.session.send()
        return self._state.task_id

    @property
    def session_id(self) -> str:
        """The id of the session that it belongs to."""
        return self._state.session.session_id

    @property
    def name(self) -> str:
        """The name of the function, or of the data."""
        return self._state.name

    @property
    def cache(self) -> CacheReport:
        """Whether the value was found among those of earlier calls, and why or why not."""
        from pymonik.cache.report import CacheReport

        return CacheReport([self._state], partial(load_finished, [self]))

    # -- waiting -------------------------------------------------------------------------------

    def done(self) -> bool:
        """Whether the value is there, or will never be."""
        return self._state.is_final

    def wait(self, timeout: float | None = None) -> ResultHandle[R_co]:
        """Block until the call ended; gives itself.

        Args:
            timeout: Seconds to wait; ``None`` waits without limit.

        Raises:
            WaitTimeoutError: The result is still pending after ``timeout``.
            BaseException: What the task raised, or a `TaskFailedError`.
        """
        __tracebackhide__ = True
        settle([self], timeout)
        self._raise_error()
        return self

    @overload
    def get(self: _OfCoroutine[R], timeout: float | None = ...) -> R: ...
    @overload
    def get(self: _OfGenerator[R], timeout: float | None = ...) -> list[R]: ...
    @overload
    def get(self, timeout: float | None = ...) -> R_co: ...
    def get(self, timeout: float | None = None) -> Any:
        """The value, waiting for it; the same as `result`."""
        __tracebackhide__ = True
        return self.result(timeout)

    @overload
    def result(self: _OfCoroutine[R], timeout: float | None = ...) -> R: ...
    @overload
    def result(self: _OfGenerator[R], timeout: float | None = ...) -> list[R]: ...
    @overload
    def result(self, timeout: float | None = ...) -> R_co: ...
    def result(self, timeout: float | None = None) -> Any:
        """The value, fetched once and then kept.

        Args:
            timeout: Seconds to wait for the task; ``None`` waits without limit.

        Raises:
            WaitTimeoutError: The result is still pending after ``timeout``.
            UsageError: In a task, which cannot wait; or the handle comes out of a pickle and
                its session is not the current one.
            BaseException: What the task raised, or a `TaskFailedError`.
        """
        __tracebackhide__ = True
        if self._value is UNKNOWN:
            state = self._state
            if state.status is Status.PENDING:
                waiting.wait(partial(state.session.wait, [state]), [state], wait_s(timeout))
            ensure_saved([self])
            self._raise_error()
            load([self])
        return self._value

    @property
    def files(self) -> dict[str, File]:
        """The files of the call by name: its outputs, and those in its value; waits for it.

        Raises:
            BaseException: As `result` does.
        """
        __tracebackhide__ = True
        self.wait()
        return files_of(self._state, self._state.session.fetch([self._state])[0])

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """What `result` would raise for the task, or ``None``; waits in the same way."""
        if self._value is UNKNOWN:
            settle([self], timeout)
        return told(self._state)

    @overload
    def outcome(self: _OfCoroutine[R], timeout: float | None = ...) -> Outcome[R]: ...
    @overload
    def outcome(self: _OfGenerator[R], timeout: float | None = ...) -> Outcome[list[R]]: ...
    @overload
    def outcome(self, timeout: float | None = ...) -> Outcome[R_co]: ...
    def outcome(self, timeout: float | None = None) -> Any:
        """How the call has ended, waiting for it: its value or its error, which is not raised.

        Args:
            timeout: Seconds to wait for the task; ``None`` waits without limit.

        Raises:
            WaitTimeoutError: The result is still pending after ``timeout``.
        """
        from pymonik.handles.call_outcome import outcome_of  # few programs ask for it

        return outcome_of(self, timeout)

    def cancel(self) -> None:
        """Cancel the call; does nothing once it ended.

        A call that shares its task with others is given up at once, and may still run; the task is
        cancelled with the last of them.
        """
        if not self._state.is_final:
            self._state.session.cancel([self._state])

    def add_done_callback(self, callback: Callable[[ResultHandle[Any]], object]) -> None:
        """Call ``callback`` with this handle once it is done: now if it is.

        Otherwise it runs in a thread that is there for callbacks: it may wait, and invoke. What it
        raises is logged.
        """
        self._call_back(callback)

    def _call_back(
        self, callback: Callable[[ResultHandle[Any]], object], *, ends_future: bool = False
    ) -> None:
        def run() -> None:
            callback(self)

        if self._state.is_final:
            call(run)
        else:
            self._state.session.call_back(self._state, run, ends_future=ends_future)

    def future(self) -> CallFuture[R_co]:
        """The value as a `concurrent.futures.Future`, for `concurrent.futures.wait` and the like.

        Cancelling it cancels the call.
        """
        from pymonik.handles.call_future import future_of  # concurrent.futures costs executors 5 ms

        return future_of(self)

    @overload
    def __await__(self: _OfCoroutine[R]) -> Generator[Any, None, R]: ...
    @overload
    def __await__(self: _OfGenerator[R]) -> Generator[Any, None, list[R]]: ...
    @overload
    def __await__(self) -> Generator[Any, None, R_co]: ...
    def __await__(self) -> Generator[Any, None, Any]:
        from pymonik.handles.awaiting import ended  # few programs await
        from pymonik.handles.event_loops import in_thread

        yield from ended([self._state])
        if self._value is UNKNOWN and self._state.error is None:
            # The value may be large: the loop must go on meanwhile.
            yield from in_thread(load, [self]).__await__()
        return self.result()

    # -- inside --------------------------------------------------------------------------------

    def _point(self, state: ResultState) -> None:
        """Stand for another result: the call was run again."""
        self._state, self._value = state, UNKNOWN

    def _raise_error(self) -> None:
        __tracebackhide__ = True
        if (error := told(self._state)) is not None:
            from pymonik.code.exceptions import again  # most calls end well

            # The same exception object is raised each time: without `again`, its traceback would
            # also show the frames of the program through which it was raised before.
            raise again(error)

    def __reduce__(self) -> tuple[object, ...]:
        keep(self._state.session)
        task_id = self.task_id  # sends, which may decide about the item
        place = self._state.place
        return _restore, (self.session_id, place.result_id, place.item, self.name, task_id)

    def __repr__(self) -> str:
        index = "" if self._state.index < 0 else f"[{self._state.index}]"
        result_id = self._state.result_id or "not sent"
        return f"<ResultHandle {self.name or 'result'}{index} {result_id} {self.status}>"

    def __getitem__(self, output: str) -> ResultHandle[Any]:
        """The handle of one of several outputs, where the task returns `Outputs`.

        It can be waited for, fetched and passed to other tasks without the other outputs.

        Raises:
            UsageError: ``output`` is no name; what the call gives is not known before it has ended.
        """
        from pymonik.handles.output_handle import output_of  # few calls give several

        return output_of(self, output)

    __iter__ = None  # else `__getitem__` would be asked for 0, 1, 2 and so on

    def __bool__(self) -> NoReturn:
        raise TypeError(
            "a handle is neither true nor false: ask for its value, `handle.get()`, or whether it "
            "has ended, `handle.done()`"
        )


# Operations with the value that a handle stands for. Not ``==``, which lists and dicts of handles
# need, nor calls and ``len``: a handle must not pose as what it is not.
_OF_VALUES = (
    "add", "radd", "sub", "rsub", "mul", "rmul", "matmul", "rmatmul", "truediv", "rtruediv",
    "floordiv", "rfloordiv", "mod", "rmod", "pow", "rpow", "and", "rand", "or", "ror", "xor",
    "rxor", "lt", "le", "gt", "ge", "neg", "pos", "abs", "int", "float", "round",
)  # fmt: skip


def _is_no_value(*_: object) -> NoReturn:
    raise TypeError(
        "a handle is not yet a value: `handle.get()` waits for it, and a task that is invoked with "
        "the handle as an argument gets the value"
    )


for _name in _OF_VALUES:
    # Not methods of the class: a type checker must go on to refuse these operations.
    setattr(ResultHandle, f"__{_name}__", _is_no_value)


def _restore(
    session_id: str, result_id: str, item: int, name: str, task_id: str
) -> ResultHandle[Any]:
    from pymonik.session.detached import detached  # few programs unpickle handles

    return ResultHandle(detached(session_id, result_id, name, task_id, item))
