"""Calls as the cluster has them: payloads of tasks, read without unpickling anything.

Whoever knows the id of a task, or of its result, gets at what it was called with, from any program
and on any day, as long as its payload is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Protocol

from pymonik.errors import ControlPlaneError, UsageError
from pymonik.runs.rows import ResultRow, TaskRow, first_id
from pymonik.wire import containers
from pymonik.wire.call import PayloadMeta

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymonik.runs.rows import Lists
    from pymonik.wire.call import CallMeta
    from pymonik.wire.containers import Buffer

    class Reading(Protocol):
        """Reads the data of results."""

        def __call__(self, result_id: str) -> Buffer:
            """All of them; `ControlPlaneError` if they are gone."""


@dataclass(frozen=True)
class StoredTask:
    """A task with its payload.

    Attributes:
        row: Its last attempt, with details.
        meta: The head of the payload.
        blobs: Of all its calls.
    """

    row: TaskRow
    meta: PayloadMeta
    blobs: Sequence[Buffer]

    def call(self, item: int) -> tuple[CallMeta, Sequence[Buffer]]:
        """The head of one of its calls, and its blobs."""
        firsts = [0, *accumulate(call.blobs for call in self.meta.calls)]
        return self.meta.calls[item], self.blobs[firsts[item] : firsts[item + 1]]


def find_task(lists: Lists, identifier: str) -> TaskRow:
    """The last attempt at the task that has this id, or whose result has it.

    Raises:
        UsageError: There is none.
        ControlPlaneError: It cannot be asked.
    """
    # Ids of tasks and of results look alike: the identifier is tried as one and then as the other.
    rows = _attempts(lists, first_id(identifier))
    if not rows:
        result = lists.results([identifier]).get(identifier)
        rows = _attempts(lists, first_id(result.owner)) if result is not None else []
    if not rows:
        raise UsageError(f"there is no task {identifier}, and no result of one with this id")
    return max(rows, key=lambda row: row.attempt)


def _attempts(lists: Lists, task_id: str) -> list[TaskRow]:
    return lists.tasks(first_ids=[task_id], details=True) if task_id else []


def read_task(row: TaskRow, read: Reading) -> StoredTask:
    """A task with its payload.

    Raises:
        UsageError: The payload was deleted, or is none of ours.
    """
    try:
        data = read(row.payload)
    except ControlPlaneError as error:
        raise UsageError(
            f"the payload of {row.function or row.task_id} is not there any more: a cluster on "
            "this machine keeps those of the latest failures and of sessions with names, an "
            f"ArmoniK may delete all ({error.detail})"
        ) from error
    meta, blobs = containers.split(data)
    if not isinstance(meta, PayloadMeta):
        raise UsageError(f"task {row.task_id} was not sent by pymonik")
    return StoredTask(row, meta, blobs)


def reader(lists: Lists) -> Reading:
    """Reads through lists, for whoever has no session."""

    def read(result_id: str) -> Buffer:
        found = lists.results([result_id]).get(result_id)
        if found is None or found.status != "COMPLETED":
            raise ControlPlaneError("DownloadResultData", "it was deleted")
        return lists.data(ResultRow(result_id, found.status, session_id=found.session_id))

    return read
