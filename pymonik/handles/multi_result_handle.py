"""`MultiResultHandle`: handles in order, those of a `map_invoke` or any others."""

from __future__ import annotations

from collections.abc import Coroutine, Generator, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, overload

from pymonik.code.references import Referable, ReferableGroup
from pymonik.errors import UsageError
from pymonik.handles.completion import Completions, More
from pymonik.handles.result_handle import ResultHandle
from pymonik.handles.settling import (
    UNKNOWN,
    by_session,
    load,
    load_finished,
    refuse_in_a_task,
    settle,
    settle_until,
    told,
)
from pymonik.quantities import wait_s
from pymonik.runs.looks import CallsLook
from pymonik.session.result import ResultState, Status

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from pymonik.cache.report import CacheReport
    from pymonik.runs.standing import Standing

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
# Types of handles of functions that do not give their values at once, as coroutines and generators;
# see `ResultHandle`.
_OfCoroutines: TypeAlias = "MultiResultHandle[Coroutine[Any, Any, R]]"
_OfGenerators: TypeAlias = "MultiResultHandle[Generator[R, Any, Any]]"

_LOADED_TOGETHER = 4096  # values that `result` fetches while the calls behind them still run
# In the place of handles that `as_completed` has consumed; known by its identity, and always empty.
_SPENT: list[ResultHandle[Any]] = []


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
            self._more.draw_all()
            self._more.take(self._drawn)
            self._more.raise_error()  # each time: the list is shorter than was meant
            self._more = None
        return self._drawn

    def _spend(self) -> tuple[list[ResultHandle[R_co]], More[ResultHandle[R_co]] | None]:
        """The handles that there are, and what draws the others, if some are not drawn yet."""
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
        settle(self._handles, timeout, until_failure=not return_exceptions)
        if not return_exceptions:
            self._raise_first_error()
        return self

    @overload
    def get(self: _OfCoroutines[R], timeout: float | None = ...) -> list[R]: ...
    @overload
    def get(self: _OfGenerators[R], timeout: float | None = ...) -> list[list[R]]: ...
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
    def result(self: _OfCoroutines[R], timeout: float | None = ...) -> list[R]: ...
    @overload
    def result(self: _OfGenerators[R], timeout: float | None = ...) -> list[list[R]]: ...
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
            load(self._handles)
            pairs = zip(self._handles, errors, strict=True)
            return [handle._value if error is None else error for handle, error in pairs]
        if wait_s(timeout) is None:
            self._load_while_others_run()
        settle(self._handles, timeout, until_failure=True)
        self._raise_first_error()
        load(self._handles)
        return [handle._value for handle in self._handles]

    def exceptions(self, timeout: float | None = None) -> list[BaseException | None]:
        """For each handle, what its task raised, or ``None``; waits for all."""
        settle(self._handles, timeout)
        return [told(handle._state) for handle in self._handles]

    def ready(self, timeout: float | None = None) -> list[tuple[int, R_co]]:
        """Number and value of the calls that have ended well, once all have ended or time is up.

        Args:
            timeout: Seconds to wait for all of them; ``None`` waits without limit.
        """
        handles = self._handles
        settle_until(handles, wait_s(timeout))
        load_finished(handles)
        return [
            (handle._state.index if handle._state.index >= 0 else number, handle._value)
            for number, handle in enumerate(handles)
            if handle._value is not UNKNOWN
        ]

    def summary(self) -> dict[str, list[Standing]]:
        """The calls that are ``finished``, ``failed``, ``cancelled``, ``running`` and ``pending``.

        Each has ``index``, ``value``, ``error`` and ``handle``. Waits for none; asks the control
        plane which of them run.
        """
        from pymonik.runs.standing import summary

        handles = self._handles
        load_finished(handles)
        return summary(handles, lambda handle: handle.result())

    @property
    def counts(self) -> dict[str, int]:
        """How many are ``"ok"``, ``"failed"``, ``"cancelled"`` and ``"pending"``, as of now."""
        from pymonik.runs.hearing import hear_once

        hear_once(handle._state for handle in self._drawn)
        counts = {"ok": 0, "failed": 0, "cancelled": 0, "pending": 0}
        for handle in self._drawn:
            counts[handle.status] += 1
        return counts

    @property
    def cache(self) -> CacheReport:
        """How many values were found among those of earlier calls: ``hits``, ``explain(i)``."""
        from pymonik.cache.report import CacheReport

        handles = self._handles
        return CacheReport(self._states(), partial(load_finished, handles))

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
        for session, states in by_session(self._handles).items():
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

    @overload
    def __await__(self: _OfCoroutines[R]) -> Generator[Any, None, list[R]]: ...
    @overload
    def __await__(self: _OfGenerators[R]) -> Generator[Any, None, list[list[R]]]: ...
    @overload
    def __await__(self) -> Generator[Any, None, list[R_co]]: ...
    def __await__(self) -> Generator[Any, None, Any]:
        from pymonik.handles.awaiting import ended  # few programs await
        from pymonik.handles.event_loops import in_thread

        for states in by_session(self._handles).values():
            yield from ended(states, until_failure=True)
        self._raise_first_error()
        yield from in_thread(load, self._handles).__await__()
        return self.result()

    def rows(self) -> list[dict[str, Any]]:
        """A dict for each call: item, arguments, status, value, and what was measured of it.

        Fetches the values that are there; nothing is waited for.
        """
        from pymonik.runs.hearing import hear_once
        from pymonik.runs.table import rows

        handles = self._handles
        hear_once(one._state for one in handles)
        load(handles)
        values = [None if one._value is UNKNOWN else one._value for one in handles]
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
            settle(part, None, until_failure=True, alarms=self._handles[end:])
            if [handle for handle in part if handle._state.status is not Status.COMPLETED]:
                return
            load(part)

    def _raise_first_error(self) -> None:
        __tracebackhide__ = True
        failed = [handle for handle in self._handles if handle._state.error is not None]
        if failed and (error := told(failed[0]._state)) is not None:
            from pymonik.code.exceptions import again, note_others  # most calls end well

            cancelled = sum(handle.status == "cancelled" for handle in failed[1:])
            note_others(error, len(failed) - 1 - cancelled)
            raise again(error)

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {word}" for word, count in self.counts.items() if count)
        more = "" if self._more is None else " and more"
        return f"<MultiResultHandle of {len(self._drawn)}{more}: {counts or 'empty'}>"


def _checked(handles: Iterable[ResultHandle[Any]]) -> list[ResultHandle[Any]]:
    if not isinstance(handles, Iterable):
        raise UsageError(f"several handles are needed, such as a list, not {handles!r}")
    checked = list(handles)
    for handle in checked:
        if not isinstance(handle, ResultHandle):
            raise UsageError(
                f"handles are what invoke and map_invoke give, not a {type(handle).__name__}"
            )
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
        waited = _checked(handles)
    # Asked here: the generator behind `Completions` begins to run when it is iterated, and the
    # error belongs to this call.
    for states in by_session(waited).values():
        refuse_in_a_task(states)
    return Completions(waited, more, limit_s)
