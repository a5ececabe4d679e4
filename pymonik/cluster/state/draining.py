"""Before a cluster ends: what runs goes on, what has not begun is cancelled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymonik.cluster.state.propagation import terminate
from pymonik.cluster.state.rows import FINAL, TaskStatus
from pymonik.cluster.state.sessions import request_cancellation, stop_submission

if TYPE_CHECKING:
    from pymonik.cluster.state.tables import State

REASON = "The cluster is being drained: it begins no more tasks"


def drain(state: State, now: int) -> None:
    """Refuse further tasks of clients, and cancel those that no runner has begun.

    Running tasks may still submit subtasks, without which they would fail; the caller drains once
    more when they have ended, which cancels those.
    """
    for session_id in state.sessions:
        stop_submission(state, session_id, client=True, worker=False)
    waiting = [
        task
        for task in state.tasks.values()
        if task.status not in FINAL and task.status is not TaskStatus.PROCESSING
    ]
    request_cancellation(state, waiting, now)
    terminate(state, [task.task_id for task in waiting], REASON, now)


def count_running(state: State) -> int:
    """How many tasks runners have begun, and not ended."""
    return sum(task.status is TaskStatus.PROCESSING for task in state.tasks.values())
