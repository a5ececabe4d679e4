"""The rows of the control plane: sessions, tasks, results, partitions; and the changes of them.

Instants are integers, nanoseconds since the epoch in UTC; ``None`` is "not set". Statuses have the
numbers of ArmoniK's API.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pymonik.cluster.state.work import TaskOptions


class SessionStatus(enum.IntEnum):
    """Status of a session."""

    RUNNING = 1
    CANCELLED = 2
    PAUSED = 3
    CLOSED = 4
    PURGED = 5
    DELETED = 6


class TaskStatus(enum.IntEnum):
    """Status of a task."""

    CREATING = 1
    SUBMITTED = 2
    DISPATCHED = 3
    COMPLETED = 4
    ERROR = 5
    TIMEOUT = 6
    CANCELLING = 7
    CANCELLED = 8
    PROCESSING = 9
    PROCESSED = 10
    RETRIED = 11
    PENDING = 12
    PAUSED = 13


class ResultStatus(enum.IntEnum):
    """Status of a result."""

    CREATED = 1
    COMPLETED = 2
    ABORTED = 3
    DELETED = 4


FINAL = frozenset(
    {
        TaskStatus.COMPLETED,
        TaskStatus.ERROR,
        TaskStatus.TIMEOUT,
        TaskStatus.CANCELLED,
        TaskStatus.RETRIED,
    }
)
FAILED = frozenset({TaskStatus.ERROR, TaskStatus.TIMEOUT})  # its payload is kept, to be sent again
PAST = FINAL - {TaskStatus.RETRIED}  # no other attempt follows, so the payload may go


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition, as deployed; only its ID has an effect here."""

    partition_id: str
    parent_partition_ids: Sequence[str] = ()
    pod_reserved: int = 0
    pod_max: int = 0
    preemption_percentage: int = 0
    priority: int = 1
    pod_configuration: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Session:
    """A session."""

    session_id: str
    partition_ids: Sequence[str]
    options: TaskOptions
    created_at: int
    status: SessionStatus = SessionStatus.RUNNING
    client_submission: bool = True
    worker_submission: bool = True
    cancelled_at: int | None = None
    closed_at: int | None = None
    purged_at: int | None = None
    deleted_at: int | None = None
    duration: timedelta | None = None
    recent: TaskOptions | None = None  # of a submission: the next one often says the same

    def shared(self, options: TaskOptions) -> TaskOptions:
        """Options that are equal, and the same object as before if they can be."""
        recent = self.recent
        if recent is None or (recent is not options and recent != options):
            self.recent = recent = options
        return recent


@dataclass(slots=True, eq=False)
class Task:
    """A task: one attempt. A retry is another row."""

    task_id: str
    session_id: str
    payload_id: str
    expected_output_ids: Sequence[str]
    data_dependencies: Sequence[str]
    options: TaskOptions
    parent_task_ids: Sequence[str]
    created_by: str
    initial_task_id: str
    created_at: int
    retry_of_ids: Sequence[str] = ()
    status: TaskStatus = TaskStatus.CREATING
    success: bool = True
    error: str = ""
    owner_pod_id: str = ""
    pod_hostname: str = ""
    submitted_at: int | None = None
    received_at: int | None = None
    acquired_at: int | None = None
    fetched_at: int | None = None
    started_at: int | None = None
    processed_at: int | None = None
    ended_at: int | None = None
    measured: bool = False  # set when the task has ended, if its durations count
    number: int = 0  # order of creation, which is the order within a priority
    waiting_for: int = 0  # how many of its inputs are not there
    queued: bool = False  # whether its entry in the queue counts, see `PartitionQueue`
    environment: str = ""  # that is being made; until then the task is in no queue
    owns_payload: bool = False  # which goes with the end of it: nobody else knows of it

    @property
    def inputs(self) -> tuple[str, ...]:
        """The results that must be completed before it runs."""
        return (self.payload_id, *self.data_dependencies)

    @property
    def creation_to_end(self) -> timedelta | None:
        """How long it took, once it has ended; computed, since there are many tasks."""
        return self._until_end(self.created_at)

    @property
    def processing_to_end(self) -> timedelta | None:
        """How long it ran, if it did."""
        return self._until_end(self.started_at)

    @property
    def received_to_end(self) -> timedelta | None:
        """How long a runner had it, if one did."""
        return self._until_end(self.received_at)

    def _until_end(self, start: int | None) -> timedelta | None:
        return span(start, self.ended_at) if self.measured else None


@dataclass(slots=True, eq=False)
class Result:
    """A result: its metadata. The bytes are in the object storage under `opaque_id`."""

    result_id: str
    session_id: str
    name: str
    created_at: int
    created_by: str = ""
    owner_task_id: str = ""
    status: ResultStatus = ResultStatus.CREATED
    completed_at: int | None = None
    size: int = 0
    opaque_id: str = ""
    manual_deletion: bool = False
    # Ids of the tasks that wait for it, in order. A dict for each result would cost more than the
    # row, so most have none.
    dependents: dict[str, None] | None = None


def span(start: int | None, stop: int | None) -> timedelta | None:
    """The time between two instants, if there are both."""
    if start is None or stop is None:
        return None
    # Whole microseconds: what a `timedelta` holds, and ArmoniK's database keeps.
    return timedelta(microseconds=(stop - start) // 1000)


class Stored(NamedTuple):
    """Bytes in the object storage."""

    opaque_id: str
    size: int


class Kind(enum.IntEnum):
    """What changed; the numbers of ``EventsEnum``."""

    NEW_TASK = 1
    TASK_STATUS = 2
    NEW_RESULT = 3
    RESULT_STATUS = 4
    RESULT_OWNER = 5


class Change(NamedTuple):
    """A change of a row, with the value as it was then: the row itself may have moved on."""

    kind: Kind
    row: Task | Result
    value: TaskStatus | ResultStatus | str | tuple[str, ResultStatus]


@dataclass(slots=True)
class Effects:
    """What a transition asks of the world, in order; carried out once the lock is released."""

    changes: list[Change] = field(default_factory=list)  # for subscribers of events
    # Rows that changed without a word, and sessions that are gone: for who keeps the rows.
    quiet: list[Session | Task | Result] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)  # running tasks to stop
    ready: list[str] = field(default_factory=list)  # partitions, once per task queued
    garbage: list[str] = field(default_factory=list)  # objects that nobody refers to any more
    shrunk: bool = False  # at least as many rows are gone as are left
