"""The tasks of one partition that are ready to run: highest priority first, then oldest."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pymonik.cluster.rows import Task


class PartitionQueue:
    """A priority queue of task IDs.

    A task that is withdrawn (paused, deleted) keeps its entry, which is skipped when it comes up:
    `Task.queued` tells whether an entry still counts.
    """

    def __init__(self) -> None:
        self._entries: list[tuple[int, int, str]] = []

    def push(self, task: Task) -> None:
        """Add a task."""
        task.queued = True
        heapq.heappush(self._entries, (-task.options.priority, task.number, task.task_id))

    def pop(self, tasks: Mapping[str, Task]) -> Task | None:
        """Take the next task, if there is one."""
        while self._entries:
            task = tasks.get(heapq.heappop(self._entries)[2])
            if task is not None and task.queued:
                task.queued = False
                return task
        return None
