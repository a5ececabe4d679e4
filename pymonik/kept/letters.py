"""Dead letters: tasks that failed for good, found in the cluster by any client, and sent again.

A letter is what the control plane still has of such a task: how attempts ended, and its payload.
Sending it again takes that payload and makes a new result: nothing of it has to be known here.

A call that fails among others of its task leaves no such task behind: its failure is an item of a
result. Letters of these are in `pymonik.kept.item_letters`.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pymonik.code import codec
from pymonik.errors import UsageError
from pymonik.handles.multi_result_handle import MultiResultHandle
from pymonik.handles.result_handle import ResultHandle
from pymonik.kept.item_letters import ItemLetter, event_of, kept_items
from pymonik.runs.attempts import Attempt, of_rows
from pymonik.runs.rows import FAILED, TaskRow
from pymonik.runs.stored_calls import read_task
from pymonik.session.result import ResultState
from pymonik.session.tasks import RepeatedTask
from pymonik.wire.call import WHOLE, FunctionRef, PayloadMeta

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymonik.session.remote import RemoteSession

_MOST_LETTERS: Final = 10_000  # of one listing


class DeadLetter:
    """A task that failed, or ran out of attempts or of time.

    Attributes:
        task_id: Of its last attempt.
        function: Name of the function.
        run: Label of the run, ``""`` without one.
        attempts: Every attempt: worker, seconds, cause, and all that was said in ``error``.
        error: That of the last attempt, for people.
    """

    def __init__(self, session: RemoteSession, row: TaskRow, attempts: Sequence[Attempt]) -> None:
        self._session = session
        self._row = row
        self.task_id = row.task_id
        self.function = row.function
        self.run = row.run
        self.attempts = list(attempts)
        self.error = row.error

    @cached_property
    def handle(self) -> ResultHandle[Any]:
        """A handle of its result, which will never be there: `ResultHandle.exception` says why."""
        output = self._output()
        return self._handle(output, WHOLE, self.function, self._row.first_id)

    @property
    def calls(self) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
        """Positional and keyword arguments of its calls: of one, or of several that share a task.

        They are unpickled now: that runs code of whoever has sent the task. Handles among them are
        handles.

        Raises:
            UsageError: Its payload was deleted, or it is no call of a Python function.
        """
        meta, blobs = self._payload
        if not isinstance(meta.function, FunctionRef):
            raise UsageError(f"{self.function} has no arguments of Python: see `event`")
        found = []
        first = 0
        for call in meta.calls:
            refs = call.refs

            def fill(slot: int, refs: Any = refs) -> ResultHandle[Any]:
                ref = refs[slot]
                handle = self._handle(ref.result_id, ref.item)
                return handle[ref.output] if ref.output else handle

            streams = blobs[first : first + call.blobs]
            args, kwargs, _ = codec.arguments_of(codec.unpack(streams, fill))
            found.append((args, kwargs))
            first += call.blobs
        return found

    @property
    def event(self) -> Any:
        """What it was called with: the event of a handler, the only argument of a function.

        Of a function with several arguments their tuple; see `calls`, also for what may be raised.
        """
        meta, blobs = self._payload
        if not isinstance(meta.function, FunctionRef):
            return msgspec.json.decode(blobs[0])
        return event_of(*self.calls[0])

    def invoke(self) -> ResultHandle[Any] | MultiResultHandle[Any]:
        """Send it again: the same payload and options, a new result; gives its handle.

        Of a task that several calls share, the handles of all of them.

        Raises:
            UsageError: Its payload was deleted.
        """
        meta, _ = self._payload
        items = range(len(meta.calls)) if meta.chunked else (WHOLE,)
        states = [ResultState(self._session, self.function, None, item) for item in items]
        row = self._row
        assert row.limits is not None
        task = RepeatedTask(
            self.function,
            row.payload,
            row.dependencies,
            row.limits,
            states,
            chunked=meta.chunked,
            meta=meta,
        )
        self._session.repeat([task])
        handles = [ResultHandle[Any](state) for state in states]
        return MultiResultHandle(handles) if meta.chunked else handles[0]

    def _handle(
        self, result_id: str, item: int, name: str = "", task_id: str = ""
    ) -> ResultHandle[Any]:
        """A handle of a result of the session that the task belongs to."""
        session = self._session
        if self._row.session_id != session.session_id:
            session = session.other(self._row.session_id) or session
        state = ResultState(session, name, result_id, item)
        state.task_id = task_id
        session.follow([state])
        return ResultHandle(state)

    @cached_property
    def _payload(self) -> tuple[PayloadMeta, Any]:
        stored = read_task(self._row, self._session.content)
        return stored.meta, stored.blobs

    def _output(self) -> str:
        if not self._row.outputs:
            raise UsageError(f"task {self.task_id} promises no result")
        return self._row.outputs[0]

    def __repr__(self) -> str:
        tries = f"{len(self.attempts)} attempt" + "s" * (len(self.attempts) != 1)
        return f"<DeadLetter {self.function or self.task_id}: {tries}, {self.error[:80]!r}>"


def dead_letters(session: RemoteSession, session_id: str) -> list[DeadLetter | ItemLetter]:
    """What failed for good in a session: tasks, then calls that shared a task with others.

    Those that never ran, since one that they need has failed, are none.

    Args:
        session: Asks, and sends again.
        session_id: Whose tasks.

    Raises:
        ControlPlaneError: It cannot be asked.
    """
    rows = session.lists.tasks(
        session_id=session_id, statuses=sorted(FAILED), details=True, limit=_MOST_LETTERS
    )
    ran = [row for row in rows if row.acquired is not None]
    firsts = [row.first_id for row in ran]
    every: dict[str, list[TaskRow]] = {}
    # With the attempts before the last one, which failed too and were retried.
    for row in session.lists.tasks(first_ids=firsts, limit=_MOST_LETTERS * 10) if firsts else ():
        every.setdefault(row.first_id, []).append(row)
    letters = [DeadLetter(session, row, of_rows(every.get(row.first_id, [row]))) for row in ran]
    own: list[ResultState] = []
    if session_id == session.session_id:
        told = {output for row in rows for output in row.outputs}  # of tasks that failed as a whole
        own = [one for one in session.failures() if one.item != WHOLE and one.result_id not in told]
    # A state moves to where its value stands, so that is its place in the cluster.
    known = {(state.result_id, state.item) for state in own}
    return [*letters, *map(ItemLetter, own), *kept_items(session, session_id, known)]
