"""`KeptPayloads`: those of tasks and calls that failed, so that they can be sent again. Bounded."""

from __future__ import annotations

MOST_PAYLOADS = 1000  # of all sessions together; older ones are deleted
MOST_BYTES = 64 * 1024 * 1024  # the same in bytes


class KeptPayloads:
    """Which payloads of failed tasks are there, in the order in which the tasks failed.

    A payload here belongs to no task: one that is submitted with it takes it over, and it goes when
    that one ends well.
    """

    def __init__(self) -> None:
        self._sizes: dict[str, int] = {}  # in bytes, by the id of the result
        self._nbytes = 0

    def add(self, result_id: str, size: int) -> list[str]:
        """Keep one more; gives those for which there is no room any more."""
        self.take(result_id)
        self._sizes[result_id] = size
        self._nbytes += size
        surplus = []
        while len(self._sizes) > MOST_PAYLOADS or self._nbytes > MOST_BYTES:
            oldest = next(iter(self._sizes))
            self.take(oldest)
            surplus.append(oldest)
        return surplus

    def take(self, result_id: str) -> None:
        """A task has it now, or it is gone."""
        if self._sizes:  # nearly always it is empty, and this is called for each task
            self._nbytes -= self._sizes.pop(result_id, 0)
