"""The newest tasks of a cluster, kept up to date with few requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pymonik.runs.rows import LIVE, Lists, TaskRow

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_TASKS: Final = 20_000  # rows that are kept
_FIRST: Final = 5_000  # that are listed by the first look
_AT_ONCE: Final = 1_000  # that are listed by a look; if all of them are new it asks for more
_LIVE = frozenset(LIVE)


class TaskTable:
    """Rows of the newest tasks, every attempt. Not thread-safe.

    A task that has ended does not change any more. So a look lists what is new, what has not ended,
    and those by their ids that had not ended before and are not among them.

    Args:
        lists: Of the control plane.
    """

    def __init__(self, lists: Lists) -> None:
        self._lists = lists
        self._rows: dict[str, TaskRow] = {}

    @property
    def rows(self) -> Iterable[TaskRow]:
        """All that are known."""
        return self._rows.values()

    def look(self) -> None:
        """Bring the rows up to date.

        Raises:
            ControlPlaneError: It cannot be asked.
        """
        unended = [row.task_id for row in self.rows if row.status in _LIVE]
        fresh = self._newest()
        live = self._lists.tasks(statuses=LIVE, limit=_FIRST)
        fresh += live
        listed = {row.task_id for row in fresh}
        # These tasks have ended since, and are too old to be among the newest.
        if gone := [one for one in unended if one not in listed]:
            fresh += self._lists.tasks(ids=gone, limit=len(gone))
        self._rows.update((row.task_id, row) for row in fresh)
        self._forget_oldest()

    def forget(self, session_id: str) -> None:
        """A session was deleted, and no list tells of its tasks any more."""
        self._rows = {one: row for one, row in self._rows.items() if row.session_id != session_id}

    def _newest(self) -> list[TaskRow]:
        limit = _AT_ONCE if self._rows else _FIRST
        rows = self._listed(limit)
        if self._rows and len(rows) == limit and rows[-1].task_id not in self._rows:
            rows = self._listed(_FIRST)
        return rows

    def _listed(self, limit: int) -> list[TaskRow]:
        return self._lists.tasks(limit=limit, newest_first=True)

    def _forget_oldest(self) -> None:
        surplus = len(self._rows) - MOST_TASKS
        if surplus > 0:
            oldest = sorted(self._rows.values(), key=lambda row: row.created or 0.0)
            for row in oldest[:surplus]:
                del self._rows[row.task_id]
