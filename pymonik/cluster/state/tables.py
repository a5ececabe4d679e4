"""The tables of the control plane, and the only ways to write to them.

Pure: no clock, no lock, no file, no gRPC. Time and IDs come in as arguments; what the world has to
do about a change is collected in `Effects`. The rules, which call what is written here:

    sessions.py      pause, resume, close, cancel, purge, delete
    submission.py    new tasks, and which of them wait for what
    propagation.py   a result is there, or will never be: what that means for the tasks after it
    unready.py       tasks whose environment is being made
    execution.py     a task is acquired, started, and ends, or is tried again
    results.py       results that clients create, complete, delete
"""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING, TypeVar

from pymonik.cluster.state.faults import (
    PartitionNotFound,
    ResultNotFound,
    SessionNotFound,
    TaskNotFound,
)
from pymonik.cluster.state.kept_payloads import KeptPayloads
from pymonik.cluster.state.queues import PartitionQueue
from pymonik.cluster.state.rows import (
    FAILED,
    PAST,
    Change,
    Effects,
    Kind,
    Partition,
    Result,
    ResultStatus,
    Session,
    Stored,
    Task,
    TaskStatus,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

T = TypeVar("T")


class State:
    """Sessions, tasks, results and partitions, with the indexes that transitions need."""

    def __init__(
        self,
        partitions: Sequence[Partition],
        *,
        default_partition: str = "",
        max_priority: int = 10,
    ) -> None:
        self.partitions = {partition.partition_id: partition for partition in partitions}
        self.default_partition = default_partition
        self.max_priority = max_priority
        self.sessions: dict[str, Session] = {}
        self.tasks: dict[str, Task] = {}
        self.results: dict[str, Result] = {}
        self.tasks_of: dict[str, dict[str, Task]] = {}  # by session
        self.results_of: dict[str, dict[str, Result]] = {}  # by session, known or not
        self.queues = {partition_id: PartitionQueue() for partition_id in self.partitions}
        self.waiting: dict[str, dict[str, Task]] = {}  # by environment that is being made
        self.effects = Effects()
        # Rows whose changes somebody wants to hear of. A task changes ten times, and the program
        # that has the cluster for itself hears of the last change only.
        self.wanted: Collection[Kind] = frozenset(Kind)
        self.kept_payloads = KeptPayloads()
        self._references: Counter[str] = Counter()  # results per object: an import shares it
        self._numbers = itertools.count()
        self._gone = 0  # rows that were deleted since the tables were filled anew

    def take_effects(self) -> Effects:
        """What is to be done since the last call."""
        effects, self.effects = self.effects, Effects()
        return effects

    # Rows that must exist.

    def session(self, session_id: str) -> Session:
        """The session, or `SessionNotFound`."""
        try:
            return self.sessions[session_id]
        except KeyError:
            raise SessionNotFound(f"Session {session_id} not found.") from None

    def task(self, task_id: str) -> Task:
        """The task, or `TaskNotFound`."""
        try:
            return self.tasks[task_id]
        except KeyError:
            raise TaskNotFound(f"Task '{task_id}' not found.") from None

    def result(self, result_id: str) -> Result:
        """The result, or `ResultNotFound`."""
        try:
            return self.results[result_id]
        except KeyError:
            raise ResultNotFound(f"Key '{result_id}' not found") from None

    def partition(self, partition_id: str) -> Partition:
        """The partition, or `PartitionNotFound`."""
        try:
            return self.partitions[partition_id]
        except KeyError:
            raise PartitionNotFound(f"Partition '{partition_id}' not found.") from None

    # Writes. Each real change is announced once.

    def add_task(self, task: Task) -> None:
        """Insert a task, which is CREATING."""
        task.number = next(self._numbers)
        self._share_ids(task)
        # The payload may be that of a failed task, sent again: from now on it belongs to this task.
        self.kept_payloads.take(task.payload_id)
        self.tasks[task.task_id] = task
        _add(self.tasks_of, task.session_id, task.task_id, task)
        self._announce(Kind.NEW_TASK, task, task.status)

    def add_result(self, result: Result) -> None:
        """Insert a result, completed or not."""
        self.results[result.result_id] = result
        _add(self.results_of, result.session_id, result.result_id, result)
        if result.opaque_id:
            self._references[result.opaque_id] += 1
        self._announce(Kind.NEW_RESULT, result, (result.owner_task_id, result.status))

    def set_task_status(self, task: Task, status: TaskStatus) -> None:
        """Change the status of a task."""
        # Events are told of real changes only, each once; ArmoniK also repeats the present status.
        if task.status is not status:
            task.status = status
            self._announce(Kind.TASK_STATUS, task, status)
            if task.owns_payload and status in PAST:
                self._payload_is_past(task, status)

    def set_result_status(self, result: Result, status: ResultStatus) -> None:
        """Change the status of a result."""
        if result.status is not status:
            result.status = status
            self._announce(Kind.RESULT_STATUS, result, status)

    def set_owner(self, result: Result, task_id: str) -> None:
        """Change the task that will produce a result."""
        if result.owner_task_id != task_id:
            result.owner_task_id = task_id
            self._announce(Kind.RESULT_OWNER, result, task_id)

    def complete(self, result: Result, stored: Stored, now: int) -> None:
        """Give a result its bytes, whatever its status; a second time is announced again."""
        self.fill(result, stored, now)
        self._announce(Kind.RESULT_STATUS, result, ResultStatus.COMPLETED)

    def fill(self, result: Result, stored: Stored, now: int) -> None:
        """Complete a result without an event: no task waits for the payload of a task to come."""
        self.detach(result)
        # Mostly the two are equal: then one string is kept for both.
        same = stored.opaque_id == result.result_id
        result.opaque_id = result.result_id if same else stored.opaque_id
        result.size = stored.size
        self._references[result.opaque_id] += 1
        result.completed_at = now
        result.status = ResultStatus.COMPLETED
        self.effects.quiet.append(result)

    def detach(self, result: Result) -> None:
        """Let go of the bytes of a result; they are removed when no other result has them."""
        opaque_id, result.opaque_id = result.opaque_id, ""
        if opaque_id:
            self.effects.quiet.append(result)
            self._references[opaque_id] -= 1
            self.discard(opaque_id)

    def forget(self, result: Result) -> None:
        """Delete the data of a result without a word: nobody waits for that."""
        self.detach(result)
        result.status = ResultStatus.DELETED
        self.effects.quiet.append(result)

    def discard(self, opaque_id: str) -> None:
        """Remove an object, unless a result has it."""
        # A Counter answers 0 for an object that no result has ever had, and `del` of such a name is
        # no error.
        if self._references[opaque_id] <= 0:
            del self._references[opaque_id]
            self.effects.garbage.append(opaque_id)

    def enqueue(self, task: Task) -> None:
        """Put a task that may run at the disposal of its partition."""
        queue = self.queues.get(task.options.partition_id)
        if queue is not None:  # a per-task partition is not checked: unknown means never run
            queue.push(task)
            self.effects.ready.append(task.options.partition_id)
        self.set_task_status(task, TaskStatus.SUBMITTED)

    def remove_session(self, session_id: str) -> list[Task]:
        """Delete a session with its tasks, results and bytes; gives the tasks."""
        self.sessions.pop(session_id, None)
        self.effects.gone.append(session_id)
        tasks = list(self.tasks_of.pop(session_id, {}).values())
        queued = [task for task in tasks if task.queued]  # before the loop, which resets it
        for task in tasks:
            task.queued, task.environment = False, ""
            del self.tasks[task.task_id]
            self._stop_waiting(task)
        results = self.results_of.pop(session_id, {})
        for result in results.values():
            self.detach(result)
            self.kept_payloads.take(result.result_id)
            del self.results[result.result_id]
        self.sweep_queues(queued)
        self._forgotten(len(tasks) + len(results))
        return tasks

    def sweep_queues(self, withdrawn: Iterable[Task]) -> None:
        """Drop the entries of tasks that are not queued any more."""
        for partition_id in {task.options.partition_id for task in withdrawn}:
            if partition_id in self.queues:
                self.queues[partition_id].sweep(self.tasks)

    # Reads.

    def known_results(self, result_ids: Iterable[str]) -> list[Result]:
        """The results among `result_ids` that exist."""
        return [self.results[key] for key in result_ids if key in self.results]

    def known_tasks(self, task_ids: Iterable[str]) -> list[Task]:
        """The tasks among `task_ids` that exist."""
        return [self.tasks[key] for key in task_ids if key in self.tasks]

    # Inside.

    def _payload_is_past(self, task: Task, status: TaskStatus) -> None:
        """Delete a payload, or keep it where its task has failed: it may be sent again."""
        payload = self.results.get(task.payload_id)
        if payload is None:
            return
        if status in FAILED:
            self.keep(payload)
        else:
            self.forget(payload)

    def keep(self, payload: Result) -> None:
        """Keep a payload of what has failed, as long as there are not too many of them."""
        for result_id in self.kept_payloads.add(payload.result_id, payload.size):
            if (surplus := self.results.get(result_id)) is not None:
                self.forget(surplus)

    def _share_ids(self, task: Task) -> None:
        """Name results by the strings that they have themselves: requests bring copies."""
        task.payload_id = self._own_id(task.payload_id)
        task.expected_output_ids = tuple(map(self._own_id, task.expected_output_ids))
        task.data_dependencies = tuple(map(self._own_id, task.data_dependencies))

    def _own_id(self, result_id: str) -> str:
        result = self.results.get(result_id)
        return result_id if result is None else result.result_id

    def _stop_waiting(self, task: Task) -> None:
        if task.waiting_for:
            for result in self.known_results(task.inputs):
                if result.dependents:
                    result.dependents.pop(task.task_id, None)

    def _forgotten(self, count: int) -> None:
        """Rows are gone; a dictionary keeps the size that it had, unless it is filled anew."""
        self._gone += count
        if self._gone < len(self.tasks) + len(self.results):
            return  # filling anew would take longer than making the rows that are gone took
        _fill_anew(self.tasks)
        _fill_anew(self.results)
        _fill_anew(self._references)
        self._gone, self.effects.shrunk = 0, True

    def _announce(
        self,
        kind: Kind,
        row: Task | Result,
        value: TaskStatus | ResultStatus | str | tuple[str, ResultStatus],
    ) -> None:
        if kind in self.wanted:
            self.effects.changes.append(Change(kind, row, value))


def _add(table: dict[str, dict[str, T]], session_id: str, key: str, row: T) -> None:
    """Add a row to those of its session."""
    rows = table.get(session_id)
    if rows is None:
        rows = table[session_id] = {}
    rows[key] = row


def _fill_anew(table: dict[str, T]) -> None:
    # In place, since others hold the table: `clear` frees the old size, `update` takes what is
    # needed.
    rows = dict(table)
    table.clear()
    table.update(rows)
