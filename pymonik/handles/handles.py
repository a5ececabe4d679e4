"""Handles: what `invoke` gives back at once, for a value that comes later.

::

    invoke ──► pending ──► completed   `get` gives the value
                   └─────► failed      `get` and `wait` raise what the task raised

A handle is a view of a `ResultState`. Waiting and fetching are the session's business.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, cast, overload

from pymonik.code.references import Referable, ReferableGroup
from pymonik.errors import UsageError, WaitTimeoutError
from pymonik.files.reading import ClientReader, complete, files_of
from pymonik.handles.completion import Completions, More
from pymonik.handles.stored_ids import StoredId
from pymonik.quantities import wait_s
from pymonik.runs import waiting
from pymonik.runs.looks import CallLook, CallsLook
from pymonik.session.callbacks import call
from pymonik.session.forgetting import keep, keep_results
from pymonik.session.result import ResultState, Status, learn

if TYPE_CHECKING:
    import asyncio
    import os
    from pathlib import Path

    from pymonik.cache.report import CacheReport
    from pymonik.files.file import File
    from pymonik.handles.call_future import CallFuture
    from pymonik.handles.completion import More
    from pymonik.runs.standing import Standing
    from pymonik.session.protocol import Session
    from pymonik.wire.call import ResultRef

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

_UNKNOWN = object()  # the value was not fetched yet
_LOADED_TOGETHER = 4096  # values
_SPENT: list[ResultHandle[Any]] = []  # stands for handles that `as_completed` has consumed


class ResultHandle(CallLook, Referable, Generic[R_co]):
    """Stands for the value of one call, or of `Pymonik.put`.

    Pass it as an argument, at any depth, and the task gets the value. It pickles without its
    client; see `result`.
    """

    __slots__ = ("__weakref__", "_state", "_value")

    def __init__(self, state: ResultState) -> None:
        self._state = state
        self._value: Any = _UNKNOWN

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

        return CacheReport([self._state], partial(_load_finished, [self]))

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
        _settle([self], timeout)
        self._raise_error()
        return self

    def get(self, timeout: float | None = None) -> R_co:
        """The value, waiting for it; the same as `result`."""
        __tracebackhide__ = True
        return self.result(timeout)

    def result(self, timeout: float | None = None) -> R_co:
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
        if self._value is _UNKNOWN:
            state = self._state
            if state.status is Status.PENDING:
                waiting.wait(partial(state.session.wait, [state]), [state], wait_s(timeout))
            _ensure_saved([self])
            self._raise_error()
            _load([self])
        return cast("R_co", self._value)

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
        if self._value is _UNKNOWN:
            _settle([self], timeout)
        return _told(self._state)

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

    def __await__(self) -> Generator[Any, None, R_co]:
        yield from _ended([self._state])
        if self._value is _UNKNOWN and self._state.error is None:
            # It may be large: the loop must go on meanwhile.
            yield from _running_loop().run_in_executor(None, _load, [self])
        return self.result()

    # -- inside --------------------------------------------------------------------------------

    def _point(self, state: ResultState) -> None:
        """Stand for another result: the call was run again."""
        self._state, self._value = state, _UNKNOWN

    def _raise_error(self) -> None:
        __tracebackhide__ = True
        if (error := _told(self._state)) is not None:
            from pymonik.code.exceptions import again  # most calls end well

            # Raised a second time, it must not show the frames that the first one went through.
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


class MultiResultHandle(CallsLook, ReferableGroup, Sequence[ResultHandle[R_co]]):
    """Handles in order, those of `Task.map_invoke` or any others; a slice is one too.

    As an argument it arrives as the list of the values. For an iterator of more than 20 000 items
    `Task.map_invoke` draws those that follow only as `as_completed` consumes the handles, once, so
    that there are never many; whoever asks for anything else gets all of them drawn.
    """

    __slots__ = ("__weakref__", "_drawn", "_more")

    def __init__(
        self,
        handles: Iterable[ResultHandle[R_co]] = (),
        *,
        more: More[ResultHandle[R_co]] | None = None,
    ) -> None:
        self._drawn = _checked(handles)
        self._more = more

    @property
    def _handles(self) -> list[ResultHandle[R_co]]:
        """All of them."""
        if self._more is not None:
            if self._drawn is _SPENT:
                raise UsageError(
                    "these handles were consumed by as_completed, which kept none of them: "
                    "pass map_invoke a list to have them all"
                )
            self._drawn += self._more.draw_all()
            self._more.raise_error()  # each time: the list is shorter than was meant
            self._more = None
        return self._drawn

    def _spend(self) -> tuple[list[ResultHandle[R_co]], More[ResultHandle[R_co]] | None]:
        """Those that there are, and what gives the others, if not all are there."""
        if self._more is None or self._more.is_exhausted:
            return self._handles, None
        drawn, self._drawn = self._drawn, _SPENT
        if drawn is _SPENT:
            return self._handles, None  # raises
        return drawn, self._more

    def wait(
        self, timeout: float | None = None, *, return_exceptions: bool = False
    ) -> MultiResultHandle[R_co]:
        """Block until all calls ended, or one has failed; gives itself.

        Args:
            timeout: Seconds to wait for all of them; ``None`` waits without limit.
            return_exceptions: Wait for all, and raise nothing that a task raised.

        Raises:
            WaitTimeoutError: Some are still pending after ``timeout``.
            BaseException: What the first of the tasks raised that have failed by then, in order of
                the handles. The others go on.
        """
        __tracebackhide__ = True
        _settle(self._handles, timeout, until_failure=not return_exceptions)
        if not return_exceptions:
            self._raise_first_error()
        return self

    @overload
    def get(self, timeout: float | None = ...) -> list[R_co]: ...
    @overload
    def get(
        self, timeout: float | None = ..., *, return_exceptions: bool
    ) -> list[R_co | BaseException]: ...
    def get(self, timeout: float | None = None, *, return_exceptions: bool = False) -> Any:
        """The values in order, waiting for them; the same as `result`."""
        __tracebackhide__ = True
        return self.result(timeout, return_exceptions=return_exceptions)

    @overload
    def result(self, timeout: float | None = ...) -> list[R_co]: ...
    @overload
    def result(
        self, timeout: float | None = ..., *, return_exceptions: bool
    ) -> list[R_co | BaseException]: ...
    def result(self, timeout: float | None = None, *, return_exceptions: bool = False) -> Any:
        """The values in order, fetched in parallel; raises like `wait`.

        Args:
            timeout: Seconds to wait for all of them; ``None`` waits without limit.
            return_exceptions: Wait for all, and give what tasks raised in the place of values.
        """
        __tracebackhide__ = True
        if return_exceptions:
            errors = self.exceptions(timeout)
            _load(self._handles)
            pairs = zip(self._handles, errors, strict=True)
            return [handle._value if error is None else error for handle, error in pairs]
        if wait_s(timeout) is None:
            self._load_while_others_run()
        _settle(self._handles, timeout, until_failure=True)
        self._raise_first_error()
        _load(self._handles)
        return [handle._value for handle in self._handles]

    def exceptions(self, timeout: float | None = None) -> list[BaseException | None]:
        """For each handle, what its task raised, or ``None``; waits for all."""
        _settle(self._handles, timeout)
        return [_told(handle._state) for handle in self._handles]

    def ready(self, timeout: float | None = None) -> list[tuple[int, R_co]]:
        """Number and value of the calls that have ended well, once all have ended or time is up.

        Args:
            timeout: Seconds to wait for all of them; ``None`` waits without limit.
        """
        handles = self._handles
        limit_s = wait_s(timeout)
        deadline = None if limit_s is None else time.monotonic() + limit_s
        for session, states in _by_session(handles).items():
            with contextlib.suppress(WaitTimeoutError):
                session.wait(states, _left(deadline))
        _load_finished(handles)
        return [
            (handle._state.index if handle._state.index >= 0 else number, handle._value)
            for number, handle in enumerate(handles)
            if handle._value is not _UNKNOWN
        ]

    def summary(self) -> dict[str, list[Standing]]:
        """The calls that are ``finished``, ``failed``, ``cancelled``, ``running`` and ``pending``.

        Each has ``index``, ``value``, ``error`` and ``handle``. Waits for none; asks the control
        plane which of them run.
        """
        from pymonik.runs.standing import summary

        handles = self._handles
        _load_finished(handles)
        return summary(handles, lambda handle: handle.result())

    @property
    def counts(self) -> dict[str, int]:
        """How many are ``"ok"``, ``"failed"``, ``"cancelled"`` and ``"pending"``, as of now."""
        counts = {"ok": 0, "failed": 0, "cancelled": 0, "pending": 0}
        for handle in self._drawn:
            counts[handle.status] += 1
        return counts

    @property
    def cache(self) -> CacheReport:
        """How many values were found among those of earlier calls: ``hits``, ``explain(i)``."""
        from pymonik.cache.report import CacheReport

        handles = self._handles
        return CacheReport(self._states(), partial(_load_finished, handles))

    @property
    def skipped(self) -> int:
        """Calls that `Task.map_invoke` did not run again, since their files were saved before."""
        savers = {h._state.run.saving for h in self._drawn if h._state.run is not None}
        return sum(saver.skipped for saver in savers if saver is not None)

    def save(self, pattern: str | os.PathLike[str]) -> list[Path]:
        """Save the files of all calls, waiting for them; their paths, in order.

        Args:
            pattern: Such as ``"batch/task_{i}_{name}"``: ``{i}`` is the number of the call,
                ``{name}`` that of the file, ``{stem}`` and ``{suffix}`` are its parts.

        Raises:
            UsageError: The pattern has no ``{i}``, or two files would be one.
            BaseException: As `result` does.
        """
        from pymonik.batches.saving import save_all  # most programs save no files

        __tracebackhide__ = True
        self.wait()
        return save_all(self._handles, pattern)

    def done(self) -> bool:
        """Whether all of them are done."""
        return all(handle.done() for handle in self._handles)

    def cancel(self) -> None:
        """Cancel all tasks that did not end."""
        for session, states in _by_session(self._handles).items():
            if pending := [state for state in states if not state.is_final]:
                session.cancel(pending)

    def as_completed(self, timeout: float | None = None) -> Completions[ResultHandle[R_co]]:
        """The handles in the order in which they end; see `as_completed`."""
        return as_completed(self, timeout)

    @property
    def result_handles(self) -> list[ResultHandle[R_co]]:
        """All of them, as a list."""
        return self._handles

    @property
    def session_id(self) -> str | None:
        """The id of the session of the first of them."""
        return self._handles[0].session_id if self._handles else None

    def append(self, handle: ResultHandle[Any]) -> None:
        """Add a handle at the end; it may belong to another client."""
        self._handles.extend(_checked([handle]))

    def extend(self, handles: Iterable[ResultHandle[Any]]) -> None:
        """Add handles at the end."""
        self._handles.extend(_checked(handles))

    @overload
    def __getitem__(self, index: int) -> ResultHandle[R_co]: ...
    @overload
    def __getitem__(self, index: slice) -> MultiResultHandle[R_co]: ...
    @overload
    def __getitem__(self, index: str) -> MultiResultHandle[Any]: ...
    def __getitem__(self, index: int | slice | str) -> Any:
        if isinstance(index, slice):
            return MultiResultHandle(self._handles[index])
        if isinstance(index, str):  # one of several outputs, of each call
            return MultiResultHandle([handle[index] for handle in self._handles])
        return self._handles[index]

    def __add__(self, other: Iterable[ResultHandle[Any]]) -> MultiResultHandle[Any]:
        return MultiResultHandle([*self._handles, *other])

    def __len__(self) -> int:
        return len(self._handles)

    def __iter__(self) -> Iterator[ResultHandle[R_co]]:
        return iter(self._handles)

    def __await__(self) -> Generator[Any, None, list[R_co]]:
        for states in _by_session(self._handles).values():
            yield from _ended(states, until_failure=True)
        self._raise_first_error()
        yield from _running_loop().run_in_executor(None, _load, self._handles)
        return self.result()

    def rows(self) -> list[dict[str, Any]]:
        """A dict for each call: item, arguments, status, value, and what was measured of it.

        Fetches the values that are there; nothing is waited for.
        """
        from pymonik.runs.table import rows

        handles = self._handles
        _load(handles)
        values = [None if one._value is _UNKNOWN else one._value for one in handles]
        return rows([one._state for one in handles], values)

    def save_logs(self, pattern: str | os.PathLike[str]) -> list[Path]:
        """Write what each call has printed so far into a file of its own; their paths, in order.

        Args:
            pattern: Such as ``"batch/task_{i}.log"``, with the fields of `save`.

        Raises:
            UsageError: The pattern has no ``{i}``.
            OSError: They cannot be written.
        """
        from pymonik.batches.saving import save_logs  # most programs save no output

        return save_logs(self._handles, pattern)

    def to_csv(self, path: str | os.PathLike[str]) -> Path:
        """Write `rows` as CSV: a line for each call, what is no text or number as its ``repr``.

        Raises:
            OSError: It cannot be written.
        """
        from pymonik.runs.table import write_csv

        return write_csv(self.rows(), path)

    def report(self, path: str | os.PathLike[str]) -> Path:
        """Write the calls into one file of HTML, which opens anywhere; gives its path.

        It has a tile for each call, arguments, errors with traceback, times, the workers along
        time, and what waited for what. Asks for what is not known yet, as `df` does.

        Args:
            path: Of the file, which is replaced at once or not at all.

        Raises:
            OSError: It cannot be written.
        """
        from pymonik.page import frozen
        from pymonik.runs.looks import started, title

        states = self._states()
        return frozen.write(path, frozen.report(states, title(states), started(states)))

    def drawn_states(self) -> list[ResultState]:
        """The states of those that were drawn until now; nothing is drawn for it."""
        return [handle._state for handle in self._drawn]

    def _members(self) -> Sequence[Referable]:
        return self._handles

    def _load_while_others_run(self) -> None:
        """Wait for all, and fetch what is there meanwhile; until one has failed."""
        for start in range(0, len(self._handles), _LOADED_TOGETHER):
            end = start + _LOADED_TOGETHER
            part = self._handles[start:end]
            _settle(part, None, until_failure=True, alarms=self._handles[end:])
            if any(handle._state.status is not Status.COMPLETED for handle in part):
                return
            _load(part)

    def _raise_first_error(self) -> None:
        __tracebackhide__ = True
        failed = [handle for handle in self._handles if handle._state.error is not None]
        if failed and (error := _told(failed[0]._state)) is not None:
            from pymonik.code.exceptions import again, note_others  # most calls end well

            cancelled = sum(handle.status == "cancelled" for handle in failed[1:])
            note_others(error, len(failed) - 1 - cancelled)
            raise again(error)

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {word}" for word, count in self.counts.items() if count)
        more = "" if self._more is None else " and more"
        return f"<MultiResultHandle of {len(self._drawn)}{more}: {counts or 'empty'}>"


def _told(state: ResultState) -> BaseException | None:
    """Why a call failed, with a note of which one it was of several."""
    error, run = state.error, state.run
    state.is_seen = state.is_final
    if error is not None:
        complete(error, state)
        if run is not None and state.index >= 0:
            from pymonik.code.exceptions import note_item  # most calls end well

            note_item(error, state.index, run.total)
    return error


def _checked(handles: Iterable[ResultHandle[Any]]) -> list[ResultHandle[Any]]:
    checked = list(handles)
    for handle in checked:
        if not isinstance(handle, ResultHandle):
            raise UsageError(f"only a ResultHandle can be added, not {type(handle).__name__}")
    return checked


def as_completed(
    handles: Iterable[ResultHandle[R]], timeout: float | None = None
) -> Completions[ResultHandle[R]]:
    """The handles in the order in which they end, failed ones too; nothing is polled.

    For ``for`` and for ``async for``, once.

    Args:
        handles: Of any clients.
        timeout: Seconds for all of them, from now; ``None`` waits without limit.

    Raises:
        WaitTimeoutError: Some are still pending after ``timeout``.
    """
    limit_s = wait_s(timeout)
    more: More[ResultHandle[R]] | None = None
    if isinstance(handles, MultiResultHandle):
        waited, more = handles._spend()
    else:
        waited = list(handles)
    for states in _by_session(waited).values():
        _refuse_in_a_task(states)
    return Completions(waited, more, limit_s)


# -- waiting and fetching for many handles -------------------------------------------------------


def _settle(
    handles: Sequence[ResultHandle[Any]],
    timeout: float | None,
    *,
    until_failure: bool = False,
    alarms: Sequence[ResultHandle[Any]] = (),
) -> None:
    """Wait until all are final.

    Args:
        handles: What is waited for.
        timeout: Seconds; ``None`` waits without limit.
        until_failure: Whether one that failed is enough.
        alarms: One of these that failed is enough too, once the wait takes long.
    """
    if until_failure and any(handle._state.error is not None for handle in handles):
        return
    pending = [handle for handle in handles if handle._state.status is Status.PENDING]
    groups = _by_session(pending)
    blocks = itertools.count()

    def block(limit_s: float | None) -> None:
        # The first of two waits is short: it does not pay for the alarms.
        others = _by_session(alarms) if next(blocks) else {}
        deadline = None if limit_s is None else time.monotonic() + limit_s
        for session, states in groups.items():
            session.wait(
                states,
                _left(deadline),
                until_failure=until_failure,
                alarms=others.get(session, ()),
            )
            if until_failure and any(state.error is not None for state in states):
                return

    if groups:
        waiting.wait(block, [handle._state for handle in pending], wait_s(timeout))
    _ensure_saved(handles)


def _ensure_saved(handles: Sequence[ResultHandle[Any]]) -> None:
    """Have the files of the calls that have ended lie where they are to be saved."""
    for handle in handles:
        run = handle._state.run
        if run is not None and run.saving is not None:
            run.saving.ensure(handle._state)


def _load(handles: Sequence[ResultHandle[Any]]) -> None:
    """Fetch the values that are there and not known, in one request for each session."""
    unknown = [handle for handle in handles if handle._value is _UNKNOWN]
    groups: dict[Session, list[ResultHandle[Any]]] = {}
    for handle in unknown:
        state = handle._state
        if state.status is Status.COMPLETED:
            groups.setdefault(state.session, []).append(handle)
    for session, wanted in groups.items():
        states = [handle._state for handle in wanted]
        results = session.fetch(states)
        learn(states, results)
        reader = ClientReader(session)
        follow = partial(_value_at, session, reader)
        for handle, result in zip(wanted, results, strict=True):
            state = handle._state
            handle._value = result.value(state.item, follow, reader, state.output)


def _value_at(session: Session, reader: ClientReader, place: ResultRef) -> object:
    """The value of a result that was there before the one that refers to it: a large output."""
    state = ResultState(session, "", place.result_id, place.item)
    state.complete()
    (result,) = session.fetch([state])
    return result.value(place.item, reader=reader, output=place.output)


def _load_finished(handles: Sequence[ResultHandle[Any]]) -> None:
    """Fetch the values of those that have ended well."""
    _load([handle for handle in handles if handle._state.status is Status.COMPLETED])


def _by_session(handles: Sequence[ResultHandle[Any]]) -> dict[Session, list[ResultState]]:
    """The states of the handles, by the session that they belong to."""
    groups: dict[Session, list[ResultState]] = {}
    for handle in handles:
        state = handle._state
        if state.session not in groups:
            groups[state.session] = []
        groups[state.session].append(state)
    return groups


def _refuse_in_a_task(states: Sequence[ResultState]) -> None:
    """Have the session say no where nothing can be waited for; elsewhere it sends what is left."""
    if pending := [state for state in states if not state.is_final]:
        with contextlib.suppress(WaitTimeoutError):
            pending[0].session.wait(pending, 0)


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def _ended(
    states: Sequence[ResultState], *, until_failure: bool = False
) -> Generator[Any, None, None]:
    """Wait in an event loop until all are final, or one has failed; all are of one session."""
    pending = [state for state in states if not state.is_final]
    if not pending or (until_failure and any(state.error is not None for state in states)):
        return
    observer = _Awaiting(_running_loop(), len(pending), until_failure=until_failure)
    session = pending[0].session
    session.observe(pending, observer)
    try:
        yield from observer.future
    finally:
        if left := [state for state in pending if not state.is_final]:
            session.ignore(left, observer)


class _Awaiting:
    """Somebody in an event loop who waits for states."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, number: int, *, until_failure: bool
    ) -> None:
        self._loop = loop
        self._number = number
        self._until_failure = until_failure
        self._ended = itertools.count(1)  # its `next` is one step, for any number of threads
        self.future: asyncio.Future[None] = loop.create_future()

    def ended(self, state: ResultState) -> None:
        """Tell the loop, if nothing is left to be waited for; see `Observer`."""
        is_last = next(self._ended) == self._number
        if not is_last and not (self._until_failure and state.error is not None):
            return
        with contextlib.suppress(RuntimeError):  # the loop was closed: nobody awaits
            self._loop.call_soon_threadsafe(_set, self.future)

    def unanswered(self, error: BaseException) -> None:
        """Raise it where the states are awaited; see `Observer`."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(_fail, self.future, error)


def _running_loop() -> asyncio.AbstractEventLoop:
    import asyncio  # a third of an executor's start, and only who awaits needs it

    return asyncio.get_running_loop()


def _fail(future: asyncio.Future[None], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _restore(
    session_id: str, result_id: str, item: int, name: str, task_id: str
) -> ResultHandle[Any]:
    from pymonik.session.detached import detached  # few programs unpickle handles

    return ResultHandle(detached(session_id, result_id, name, task_id, item))
