"""The tasks of one partition that are ready to run: highest priority first, then oldest."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pymonik.cluster.state.rows import Task


class PartitionQueue:
    """A priority queue of task IDs.

    `Task.queued` tells whether an entry counts. Whoever withdraws tasks, paused or deleted, sweeps
    afterwards: a partition without runner would keep their entries for ever.
    """

    def __init__(self) -> None:
        self._entries: list[tuple[int, int, str]] = []

    def __len__(self) -> int:
        return len(self._entries)

    def push(self, task: Task) -> None:
        """Add a task."""
        task.queued = True
        # A heap gives the smallest first: hence the sign. `number` makes it first come, first
        # served within a priority, and no two entries equal.
        heapq.heappush(self._entries, (-task.options.priority, task.number, task.task_id))

    def pop(self, tasks: Mapping[str, Task]) -> Task | None:
        """Take the next task, if there is one."""
        while self._entries:
            task = tasks.get(heapq.heappop(self._entries)[2])
            if task is not None and task.queued:
                task.queued = False
                return task
        return None

    def sweep(self, tasks: Mapping[str, Task]) -> None:
        """Drop the entries of tasks that were withdrawn."""
        counts = (entry for entry in self._entries if _is_queued(tasks.get(entry[2])))
        self._entries = list(counts)
        heapq.heapify(self._entries)


def _is_queued(task: Task | None) -> bool:
    return task is not None and task.queued
