"""`ControlPlane`: what the services ask for clients, one method for each request.

Bytes are written before the state is locked, so that nobody waits for a disk; a request that is
then refused removes them. Runners have `dispatch` instead, and neither can ask what is for the
other. Messages of gRPC are not known here: a ``view`` makes the answer from the rows, under the
lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pymonik.cluster.ids import new_id
from pymonik.cluster.state import execution, results, sessions, submission
from pymonik.cluster.state.faults import NoRoom, NotKept, ObjectDataNotFound
from pymonik.cluster.state.submission import TaskCreation
from pymonik.cluster.storage import SMALL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from pymonik.cluster.event_hub import Interest, Subscription
    from pymonik.cluster.locked_state import LockedState
    from pymonik.cluster.state.requested_options import RequestedOptions
    from pymonik.cluster.state.rows import Result, Session, Stored, Task
    from pymonik.cluster.state.tables import State
    from pymonik.cluster.state.work import TaskOptions
    from pymonik.cluster.storage import Storage
    from pymonik.wire.containers import Buffer

T = TypeVar("T")
# Bytes that a row takes in the journal, with the ids of its inputs and outputs: mostly less. Room
# for it is reserved before a request changes anything.
_ROW_BYTES = 1024


class ControlPlane:
    """Answers what clients ask; safe to use from any thread.

    Args:
        locked: The state.
        storage: Where bytes are.
    """

    def __init__(self, locked: LockedState, storage: Storage) -> None:
        self._locked = locked
        self._storage = storage
        self._asked = locked.asked

    # One method for each request that changes something.

    def create_session(self, options: TaskOptions, partition_ids: Sequence[str]) -> Session:
        """Open a session."""
        with self._asked() as (state, now):
            return sessions.create(state, new_id(), options, partition_ids, now)

    def change_session(
        self,
        transition: Callable[[State, str, int], Session],
        session_id: str,
        view: Callable[[Session], T],
    ) -> T:
        """Apply one of the transitions of `pymonik.cluster.state.sessions`."""
        with self._asked(deletes=True) as (state, now):
            return view(transition(state, session_id, now))

    def submit(
        self,
        session_id: str,
        requested: RequestedOptions | None,
        creations: Sequence[TaskCreation],
        *,
        payloads: Sequence[bytes] = (),
        outputs: Sequence[str] = (),
        own_payloads: bool = False,
    ) -> list[Task]:
        """Create tasks, and results with the payloads of those that name none.

        Args:
            session_id: Of the session.
            requested: Options of the request.
            creations: The tasks.
            payloads: See `DirectRequest`.
            outputs: See `DirectRequest`.
            own_payloads: Whether payloads end with their tasks.
        """
        made: dict[str, Stored] = {}
        try:
            for data in payloads:
                result_id = new_id()
                made[result_id] = self._storage.write(data, result_id)
            creations = _with_payloads(creations, list(made))
            nbytes = _in_rows(made.values()) + _ROW_BYTES * len(creations)
            with self._asked(nbytes) as (state, now):
                return submission.submit(
                    state,
                    session_id,
                    requested,
                    creations,
                    made,
                    outputs,
                    own_payloads=own_payloads,
                    new_id=new_id,
                    now=now,
                )
        except NotKept:  # the tasks are there
            raise
        except BaseException:  # refused, or no room: all or nothing
            for stored in made.values():
                self._storage.delete(stored.opaque_id)
            raise

    def cancel_tasks(self, task_ids: Sequence[str], view: Callable[[Task], T]) -> list[T]:
        """Cancel tasks; gives those that exist."""
        with self._asked(deletes=True) as (state, now):
            return [view(task) for task in execution.cancel_tasks(state, task_ids, now)]

    def create_results(
        self,
        session_id: str,
        creations: Iterable[tuple[str, bool, bytes | None]],
        view: Callable[[Result], T],
    ) -> list[T]:
        """Create results from names, whether they survive deletions, and bytes if there are."""
        stored: list[tuple[str, str, bool, Stored | None]] = []
        try:
            for name, manual, data in creations:
                result_id = new_id()
                one = None if data is None else self._storage.write(data, result_id)
                stored.append((result_id, name, manual, one))
            nbytes = _in_rows(one for *_, one in stored) + _ROW_BYTES * len(stored)
            with self._asked(nbytes) as (state, now):
                return [
                    view(
                        results.create(
                            state,
                            result_id,
                            session_id,
                            name,
                            now,
                            manual_deletion=manual_deletion,
                            stored=one,
                        )
                    )
                    for result_id, name, manual_deletion, one in stored
                ]
        except NotKept:  # the results are there
            raise
        except (OSError, NoRoom):  # all or nothing
            for _, _, _, one in stored:
                if one is not None:
                    self._storage.delete(one.opaque_id)
            raise

    def upload(
        self,
        session_id: str,
        result_id: str,
        chunks: Iterable[Buffer],
        view: Callable[[Result, int | None], T],
    ) -> T:
        """Complete a result with a stream of bytes; the view also gets the last completion."""
        stored = self._storage.receive(chunks)
        try:
            with self._asked() as (state, now):
                return view(*results.upload(state, session_id, result_id, stored, now))
        except NotKept:
            raise
        except NoRoom:
            self._storage.delete(stored.opaque_id)
            raise

    def import_data(
        self, session_id: str, imports: Sequence[tuple[str, str]], view: Callable[[Result], T]
    ) -> list[T]:
        """Complete results with objects that are in the storage."""
        sizes = {
            opaque_id: size
            for _, opaque_id in imports
            if (size := self._storage.announced(opaque_id)) is not None
        }
        with self._asked(_ROW_BYTES * len(imports)) as (state, now):
            return [
                view(result)
                for result in results.import_data(state, session_id, imports, sizes, now)
            ]

    def delete_data(self, result_ids: Sequence[str]) -> None:
        """Delete the bytes of results."""
        with self._asked(deletes=True) as (state, _):
            results.delete_data(state, result_ids)

    # Reading.

    def reading(self) -> AbstractContextManager[State]:
        """The state, to look at while nothing changes."""
        return self._locked.reading()

    def subscribe(self, interest: Interest) -> Subscription:
        """The changes of a session from now on, after the rows that exist."""
        return self._locked.subscribe(interest)

    def is_busy(self) -> bool:
        """Whether many tasks wait for a runner."""
        return self._locked.is_busy()

    def download(self, result_id: str, chunk_size: int) -> Iterator[bytes]:
        """The bytes of a result, whatever its session."""
        with self._locked.reading() as state:
            opaque_id = state.result(result_id).opaque_id
        # Asked here and not by the first read: a generator raises when it is iterated, and by then
        # the answer has begun.
        if not self._storage.exists(opaque_id):
            raise ObjectDataNotFound(f"result {result_id} has no data")
        return self._storage.read(opaque_id, chunk_size)

    def data_in_memory(self, result: Result) -> bytes | None:
        """The bytes of a result, where they are small."""
        return self._storage.held(result.opaque_id)

    def small_data(self, result_ids: Sequence[str]) -> list[bytes | None]:
        """The bytes of completed results that are small, whatever their sessions."""
        with self._locked.reading() as state:
            found = {one.result_id: one for one in state.known_results(result_ids)}
            objects = [found[one].opaque_id if one in found else "" for one in result_ids]
        return [self._storage.held(one) for one in objects]


def _in_rows(stored: Iterable[Stored | None]) -> int:
    """Bytes that are written with the rows: those of small objects."""
    return sum(one.size for one in stored if one is not None and one.size <= SMALL)


def _with_payloads(creations: Sequence[TaskCreation], ids: Sequence[str]) -> Sequence[TaskCreation]:
    if not ids:
        return creations
    rest = iter(ids)
    return [one if one.payload_id else TaskCreation(next(rest, ""), *one[1:]) for one in creations]
