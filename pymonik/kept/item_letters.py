"""Letters of calls that failed among others of their task.

The client that has sent such a call knows it, and gives an `ItemLetter`. For any other its worker
has kept it under a name (`pymonik.executor.kept_calls`), which gives a `KeptItemLetter`.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pymonik.code import codec
from pymonik.errors import PymonikError, UsageError
from pymonik.handles.result_handle import ResultHandle
from pymonik.runs.attempts import attempts
from pymonik.runs.called import arguments, blobs
from pymonik.runs.error_lines import summary
from pymonik.runs.repair import sent_again
from pymonik.runs.rows import first_id
from pymonik.runs.stored_calls import StoredTask
from pymonik.session.outputs import output_of
from pymonik.session.result import ResultState
from pymonik.session.tasks import RepeatedTask
from pymonik.wire import containers
from pymonik.wire.call import (
    LETTER_PREFIX,
    FunctionRef,
    PayloadMeta,
    ResultMeta,
    index_in,
    result_ids,
)

if TYPE_CHECKING:
    from pymonik.runs.rows import ResultRow, TaskRow
    from pymonik.session.remote import RemoteSession

MOST_LETTERS: Final = 10_000  # of one listing
# Seconds in which the heads of the letters' results, which are there, are read.
_END_S: Final = 30.0


class ItemLetter:
    """A call that failed among others of its task; for the attributes see `DeadLetter`.

    Attributes:
        attempts: At the task that it shared.
    """

    def __init__(self, state: ResultState) -> None:
        self._state = state
        self.task_id = state.task_id
        self.function = state.name
        self.run = state.run.label if state.run is not None else ""
        self.attempts = attempts(state)
        self.error = str(summary(state.error)) if state.error is not None else ""
        self.handle: ResultHandle[Any] = ResultHandle(state)

    @property
    def calls(self) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
        """The arguments of the call, as the only one of a list; see `DeadLetter.calls`."""
        return [arguments(self._state, ResultHandle, lambda one: ResultHandle(one).get())]

    @property
    def event(self) -> Any:
        """What it was called with; see `DeadLetter.event`."""
        run, call = self._state.run, self._state.call
        if run is not None and not run.has_pickles and call is not None:
            return msgspec.json.decode(blobs(call)[0])
        return event_of(*self.calls[0])

    def invoke(self) -> ResultHandle[Any]:
        """Send it again, alone; gives the handle of the new call.

        Raises:
            UsageError: Its arguments are not kept.
        """
        return ResultHandle(sent_again(self._state))

    def __repr__(self) -> str:
        return f"<ItemLetter {self.function}: {self.error[:80]!r}>"


class KeptItemLetter(ItemLetter):
    """The letter of a call that another program has sent; see `pymonik.executor.kept_calls`."""

    def __init__(
        self,
        session: RemoteSession,
        state: ResultState,
        row: TaskRow,
        task: StoredTask,
        number: int,
    ) -> None:
        super().__init__(state)
        self._session = session
        self._row = row
        self._task = task
        self._number = number
        self.run = row.run

    @property
    def calls(self) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
        """The arguments of the call, as the only one of a list; see `DeadLetter.calls`."""
        if not isinstance(self._task.meta.function, FunctionRef):
            raise UsageError(f"{self.function} has no arguments of Python: see `event`")
        call, streams = self._task.call(self._number)
        home = self._state.session

        def fill(slot: int) -> ResultHandle[Any]:
            ref = call.refs[slot]
            state = ResultState(home, "", ref.result_id, ref.item)
            self._session.follow([state])
            return ResultHandle(output_of(state, ref.output))

        args, kwargs, _ = codec.arguments_of(codec.unpack(streams, fill))
        return [(args, kwargs)]

    @property
    def event(self) -> Any:
        """What it was called with; see `DeadLetter.event`."""
        if isinstance(self._task.meta.function, FunctionRef):
            return event_of(*self.calls[0])
        return msgspec.json.decode(self._task.call(self._number)[1][0])

    def invoke(self) -> ResultHandle[Any]:
        """Send it again, alone, with the same arguments and options; gives the handle."""
        call, blobs = self._task.call(self._number)
        stored = self._task.meta
        traces = stored.traces_of([self._number])
        # One call, without its number in the map that it came from.
        meta = msgspec.structs.replace(stored, calls=(call,), first=-1, indexes=b"", traces=traces)
        data = b"".join(containers.join(meta, blobs))
        (payload,) = self._session.store_notes([(self.function, data)])
        state = ResultState(self._session, self.function, None, 0)
        limits = self._row.limits
        assert limits is not None
        task = RepeatedTask(
            self.function, payload, result_ids(meta), limits, [state], chunked=True, meta=meta
        )
        self._session.repeat([task])
        return ResultHandle(state)


def kept_items(
    session: RemoteSession, session_id: str, known: set[tuple[str | None, int]]
) -> list[KeptItemLetter]:
    """Calls that failed among others, without those whose places are known."""
    home = session if session_id == session.session_id else session.other(session_id)
    kept = {
        row.name.removeprefix(LETTER_PREFIX): row
        for row in session.lists.results_named(LETTER_PREFIX, MOST_LETTERS, session_id=session_id)
    }
    if not kept or home is None:
        return []
    owners = {one.result_id: first_id(one.owner) for one in session.lists.results([*kept]).values()}
    wanted = sorted({*owners.values()} - {""})
    rows = {r.first_id: r for r in session.lists.tasks(first_ids=wanted, details=True)}
    found: list[KeptItemLetter] = []
    for output, result in kept.items():
        row = rows.get(owners.get(output, ""))
        if row is not None:
            # The payload was deleted to make room, or its result was.
            with contextlib.suppress(PymonikError):
                found += _letters_of(session, home, output, result, row, known)
    return found


def _letters_of(
    session: RemoteSession,
    home: RemoteSession,
    output: str,
    kept: ResultRow,
    row: TaskRow,
    known: set[tuple[str | None, int]],
) -> list[KeptItemLetter]:
    meta, blobs = containers.split(home.content(kept.result_id))
    ended, _ = containers.split(home.content(output))
    if not isinstance(meta, PayloadMeta) or not isinstance(ended, ResultMeta):
        return []
    task = StoredTask(row, meta, blobs)
    places = [place for place, item in enumerate(ended.items) if item.failed]
    states = [ResultState(home, meta.function.name, output, place) for place in places]
    # Only the first of the failed calls are kept, where all would be too much; see
    # `executor.kept_calls`.
    for number, state in enumerate(states[: len(meta.calls)]):
        state.task_id, state.index = row.first_id, index_in(meta, number)
    new = [(n, state) for n, state in enumerate(states) if (output, state.item) not in known]
    new = [(n, state) for n, state in new if n < len(meta.calls)]
    home.follow([state for _, state in new])
    home.wait([state for _, state in new], _END_S)
    return [KeptItemLetter(session, state, row, task, n) for n, state in new]


def event_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a call was called with: its only argument, or their tuple."""
    return args[0] if len(args) == 1 and not kwargs else (*args, *kwargs.values())
