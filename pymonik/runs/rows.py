"""Rows of the control plane's lists, as values: tasks, sessions, partitions, results.

Instants are seconds since the epoch, ``None`` where they are not set. Statuses are those of
ArmoniK's API without their prefix, such as ``"SUBMITTED"``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from pymonik.wire.call import FUNCTION_LABEL, RUN_LABEL, SESSION_LABEL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pymonik.options import TaskOptions
    from pymonik.wire.call import Meta

RUNNING: Final = frozenset({"DISPATCHED", "PROCESSING", "PROCESSED"})  # a worker has the task
LIVE: Final = ("CREATING", "PENDING", "SUBMITTED", "PAUSED", "CANCELLING", *sorted(RUNNING))
FAILED: Final = frozenset({"ERROR", "TIMEOUT"})  # an attempt that another one followed is RETRIED
# Words for statuses, as people give them to commands and programs.
STATES: Final = {
    "live": LIVE,
    "pending": tuple(status for status in LIVE if status not in RUNNING),
    "running": tuple(sorted(RUNNING)),
    "failed": tuple(sorted(FAILED)),
    "ok": ("COMPLETED",),
    "cancelled": ("CANCELLED", "CANCELLING"),
    "retried": ("RETRIED",),
}
RETRY_MARK: Final = "###"  # ArmoniK's id of a later attempt: the first one's id, this, a number


def first_id(task_id: str) -> str:
    """The id of the first attempt at the task that has this id."""
    return task_id.partition(RETRY_MARK)[0]


@dataclass(frozen=True, slots=True)
class TaskRow:
    """One attempt at a task.

    Attributes:
        first_id: Id of the first attempt, which is the one that was submitted.
        worker: The pod that has it or had it, ``""`` before.
        error: ``Output.error``, for people.
        told: The whole of it, with the line for us; see `wire.error_text`.
        dependencies: Ids of the results that it needs; empty where they were not asked for.
        outputs: Ids of its expected outputs; empty where they were not asked for.
        payload: Id of the result that is its payload; ``""`` where it was not asked for.
        limits: Time limit, priority, retries and partition, with ``options``.
    """

    task_id: str
    session_id: str
    status: str
    partition: str
    first_id: str = ""
    worker: str = ""
    error: str = ""
    told: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    created: float | None = None
    submitted: float | None = None
    received: float | None = None
    acquired: float | None = None
    fetched: float | None = None
    started: float | None = None
    processed: float | None = None
    ended: float | None = None
    payload: str = ""
    limits: TaskOptions | None = None
    dependencies: Sequence[str] = ()
    outputs: Sequence[str] = ()

    @property
    def function(self) -> str:
        """The name of the function that it runs; ``""`` for tasks of other programs."""
        return self.options.get(FUNCTION_LABEL, "")

    @property
    def run(self) -> str:
        """The label of its run; ``""`` without one."""
        return self.options.get(RUN_LABEL, "")

    @property
    def attempt(self) -> int:
        """1 for the first."""
        _, mark, number = self.task_id.partition(RETRY_MARK)
        return int(number) + 1 if mark and number.isdecimal() else 1


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session.

    Attributes:
        takes_calls: Whether clients may submit to it.
    """

    session_id: str
    status: str
    partitions: Sequence[str] = ()
    created: float | None = None
    ended: float | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    takes_calls: bool = False

    @property
    def name(self) -> str:
        """What a program called it; ``""`` without a name."""
        return self.options.get(SESSION_LABEL, "")


@dataclass(frozen=True, slots=True)
class PartitionRow:
    """A partition; its numbers are what the deployment allows, not what runs now.

    Attributes:
        pods: What the deployment says of its pods.
    """

    name: str
    pods_reserved: int = 0
    pods_max: int = 0
    priority: int = 0
    pods: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ResultRow:
    """A result; its owner is the task that makes it, `created_by` the one that created it."""

    result_id: str
    status: str
    owner: str = ""
    name: str = ""
    size: int = 0
    session_id: str = ""
    created: float | None = None
    created_by: str = ""


class Lists(Protocol):
    """What can be asked of a control plane; each method is one request or a few."""

    def tasks(
        self,
        *,
        session_id: str = "",
        statuses: Sequence[str] = (),
        partition: str = "",
        ids: Sequence[str] = (),
        first_ids: Sequence[str] = (),
        limit: int = 1000,
        newest_first: bool = False,
        acquired_last: bool = False,
        details: bool = False,
    ) -> list[TaskRow]:
        """Tasks that match everything that is given."""

    def cancel_tasks(self, ids: Sequence[str]) -> None:
        """Cancel those that have not ended."""

    def count_tasks(self, session_id: str) -> dict[str, int]:
        """How many tasks of the session there are, by status."""

    def count_tasks_of(self, host: str, partition: str) -> dict[str, int]:
        """How many tasks of the partition the host has or had, by status."""

    def results(self, ids: Sequence[str]) -> dict[str, ResultRow]:
        """The results with these ids, by id; those that do not exist are left out."""

    def results_named(
        self,
        prefix: str | Sequence[str],
        limit: int = 1000,
        *,
        session_id: str = "",
        exactly: bool = False,
    ) -> list[ResultRow]:
        """Results that are there and whose names start so, the newest first."""

    def data(self, result: ResultRow) -> bytes:
        """What a small result holds."""

    def head(self, result: ResultRow) -> Meta | None:
        """The head of a result that may be large; ``None`` where it is none of ours."""

    def partitions(self) -> list[PartitionRow]:
        """All partitions."""

    def sessions(self, limit: int = 100, *, name: str = "") -> list[SessionRow]:
        """Sessions, the newest first; only those of a name, if one is given."""

    def size_of_session(self, session_id: str) -> tuple[int, int]:
        """How many results a session has, and the bytes of the largest thousand of them."""

    def cancel_session(self, session_id: str) -> None:
        """Stop everything in it."""

    def delete_data(self, ids: Sequence[str]) -> None:
        """Delete what results hold."""

    def purge_session(self, session_id: str) -> None:
        """Delete the data of a session that is closed or cancelled."""

    def delete_session(self, session_id: str) -> None:
        """Forget a session with everything in it."""

    def session(self, session_id: str) -> SessionRow | None:
        """The session; ``None`` if there is no such session."""
