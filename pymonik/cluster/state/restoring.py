"""Rows that were kept become tables again: what ran is run again, what waited waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymonik.cluster.state.propagation import make_ready, queue_or_hold
from pymonik.cluster.state.rows import FINAL, ResultStatus, TaskStatus
from pymonik.cluster.state.sessions import let_go

if TYPE_CHECKING:
    from pymonik.cluster.state.rows import Result, Session, Task
    from pymonik.cluster.state.tables import State

# Statuses of tasks that were queued or had a runner when the cluster ended. No attempt is consumed:
# nothing that the task has made exists unless it ended.
_WITH_A_RUNNER = frozenset(
    {
        TaskStatus.SUBMITTED,
        TaskStatus.DISPATCHED,
        TaskStatus.PROCESSING,
        TaskStatus.PROCESSED,
    }
)


class Rows:
    """The last state of each row, in the order in which they were made."""

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}
        self.tasks: dict[str, Task] = {}
        self.results: dict[str, Result] = {}
        self.data: dict[str, bytes] = {}  # of small objects, by their names
        self.gone: set[str] = set()  # sessions that were deleted, with everything in them

    def add_session(self, row: Session) -> None:
        """A session as it was then."""
        self.sessions[row.session_id] = row

    def add_task(self, row: Task) -> None:
        """A task as it was then."""
        self.tasks[row.task_id] = row

    def add_result(self, row: Result, data: bytes | None) -> None:
        """A result as it was then, with its bytes where these were kept with it."""
        before = self.results.get(row.result_id)
        if before is not None and before.opaque_id != row.opaque_id:
            self.data.pop(before.opaque_id, None)
        self.results[row.result_id] = row
        if data is not None:
            self.data[row.opaque_id] = data

    def drop_gone(self) -> None:
        """Leave out the rows of sessions that are gone."""
        gone = self.gone
        for session_id in gone:
            self.sessions.pop(session_id, None)
        self.tasks = {i: row for i, row in self.tasks.items() if row.session_id not in gone}
        for result_id in [i for i, row in self.results.items() if row.session_id in gone]:
            self.data.pop(self.results.pop(result_id).opaque_id, None)


def restore(state: State, rows: Rows, now: int) -> None:
    """Fill the empty tables; nobody listens yet, so nothing of it is told."""
    state.sessions.update(rows.sessions)
    for result in rows.results.values():
        state.add_result(result)
    for task in rows.tasks.values():
        state.add_task(task)
    for task in rows.tasks.values():
        if task.status not in FINAL:
            _go_on(state, task, now)
    # The effects of restoring are dropped: they would announce every old row, and nobody has
    # subscribed yet.
    state.take_effects()


def _go_on(state: State, task: Task, now: int) -> None:
    if task.status is TaskStatus.CANCELLING:
        state.enqueue(task)  # a runner that takes it ends it
        # `enqueue` has made it SUBMITTED.
        state.set_task_status(task, TaskStatus.CANCELLING)
    elif task.status in _WITH_A_RUNNER:
        let_go(task)
        queue_or_hold(state, task)
    elif task.status is not TaskStatus.PAUSED:
        _wait(state, task, now)


def _wait(state: State, task: Task, now: int) -> None:
    for result in state.known_results(task.inputs):
        if result.status is not ResultStatus.COMPLETED:
            if result.dependents is None:
                result.dependents = {}
            result.dependents[task.task_id] = None
            task.waiting_for += 1
    if not task.waiting_for:
        make_ready(state, task, now)
