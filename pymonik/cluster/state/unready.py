"""Tasks whose environment is being made: SUBMITTED, but in no queue.

A runner that gets such a task gives it back, and others pass it. When the environment is settled,
ready or not, all its tasks are queued: they run, or fail with the reason. A task that is cancelled
meanwhile is queued at once, since a runner ends what is CANCELLING.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymonik.cluster.state.rows import SessionStatus, TaskStatus
from pymonik.cluster.state.sessions import let_go

if TYPE_CHECKING:
    from pymonik.cluster.state.rows import Task
    from pymonik.cluster.state.tables import State


def hold(state: State, task: Task, packages_id: str) -> None:
    """Have a task wait that a runner cannot run yet."""
    let_go(task)
    session = state.sessions.get(task.session_id)
    if session is not None and session.status is SessionStatus.PAUSED:
        state.set_task_status(task, TaskStatus.PAUSED)
        return
    task.environment = packages_id
    state.waiting.setdefault(packages_id, {})[task.task_id] = task
    state.set_task_status(task, TaskStatus.SUBMITTED)


def settled(state: State, packages_id: str) -> None:
    """Queue all tasks that have waited for an environment."""
    for task in state.waiting.pop(packages_id, {}).values():
        # A task that was deleted, cancelled or paused meanwhile is still in this table, but its row
        # says that it does not wait.
        if task.task_id in state.tasks and task.environment == packages_id:
            task.environment = ""
            state.enqueue(task)


def is_wanted(state: State, packages_id: str) -> bool:
    """Whether a task waits for an environment that may still run."""
    return any(_may_run(state, task) for task in state.waiting.get(packages_id, {}).values())


def _may_run(state: State, task: Task) -> bool:
    session = state.sessions.get(task.session_id)
    is_open = session is not None and session.status is SessionStatus.RUNNING
    return is_open and bool(task.environment)
