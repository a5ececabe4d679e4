"""What the fate of a result means for the tasks that need it.

completed  → the tasks that waited for nothing else are queued
aborted    → the tasks that waited for it end in ERROR, their outputs are aborted, and so on
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymonik.cluster.state.rows import Result, ResultStatus, SessionStatus, Task, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pymonik.cluster.state.tables import State

WAITING = (TaskStatus.CREATING, TaskStatus.PENDING)  # for inputs: in no queue, with no runner
# Tasks whose outputs are lost: those that failed, are cancelled, or cannot run any more.
WITHOUT_OUTPUT = frozenset(
    {
        TaskStatus.CREATING,
        TaskStatus.PENDING,
        TaskStatus.PAUSED,
        TaskStatus.CANCELLED,
        TaskStatus.CANCELLING,
        TaskStatus.ERROR,
        TaskStatus.TIMEOUT,
    }
)


def resolve(state: State, results: Iterable[Result], now: int) -> None:
    """The `results` are completed: queue the tasks that waited for nothing else."""
    for result in results:
        # Taken away, so that a result that is uploaded a second time resolves nothing twice.
        dependents, result.dependents = result.dependents, None
        for task in state.known_tasks(dependents or ()):
            task.waiting_for -= 1
            if not task.waiting_for and task.status in WAITING:
                make_ready(state, task, now)


def make_ready(state: State, task: Task, now: int) -> None:
    """All inputs of a task are there."""
    # Set once: a task that is paused, or given back by a runner, keeps the instant.
    task.submitted_at = now
    queue_or_hold(state, task)


def queue_or_hold(state: State, task: Task) -> None:
    """Queue a task, or hold it while its session is paused."""
    # The session as it is now. ArmoniK's agent uses the one of when it took the task, and queues
    # dependents of a session that was paused since, which no resume finds again.
    session = state.sessions.get(task.session_id)
    if session is not None and session.status is SessionStatus.PAUSED:
        state.set_task_status(task, TaskStatus.PAUSED)
    else:
        state.enqueue(task)


def terminate(
    state: State,
    task_ids: Iterable[str],
    reason: str,
    now: int,
    *,
    status: TaskStatus = TaskStatus.ERROR,
) -> None:
    """The tasks will produce nothing: abort what they own, end those that wait for it.

    The reason is the same at every level; dependents end in ERROR also when the origin is a
    cancellation.
    """
    # Level by level, not by recursion: a chain of tasks may be longer than Python's stack.
    while task_ids := set(task_ids):
        lost = [task for task in state.known_tasks(task_ids) if task.status in WITHOUT_OUTPUT]
        for task in lost:
            if task.status in WAITING:
                end(state, task, status, now, error=reason)
        outputs = state.known_results(
            result_id for task in lost for result_id in task.expected_output_ids
        )
        aborted = [result for result in outputs if _abort(state, result, task_ids, now)]
        task_ids = [
            dependent
            for result in aborted
            # A result without owner is aborted too (see `_abort`), but ArmoniK tells only the
            # dependents of those that one of the tasks owned.
            if result.owner_task_id in task_ids
            for dependent in result.dependents or ()
        ]


def _abort(state: State, result: Result, owners: set[str], now: int) -> bool:
    """Abort a result that one of `owners`, or nobody, was to produce."""
    mine = result.owner_task_id in owners or not result.owner_task_id
    if result.status is not ResultStatus.CREATED or not mine:
        return False
    result.completed_at = now
    state.set_result_status(result, ResultStatus.ABORTED)
    return True


def end(state: State, task: Task, status: TaskStatus, now: int, *, error: str = "") -> None:
    """Write the end of a task: output, instants, durations, status."""
    task.success = status is TaskStatus.COMPLETED
    task.error = error
    task.ended_at = now
    # Only an end that is written here has durations: a running task that was cancelled has none in
    # ArmoniK.
    task.measured = True
    state.set_task_status(task, status)
