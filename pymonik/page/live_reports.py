"""What tasks have reported while they ran, from results; see `pymonik.wire.live`."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

from pymonik.errors import PymonikError
from pymonik.runs.rows import Lists, first_id
from pymonik.wire.live import REPORT_PREFIX, ReportEntry, live_name, report_entries

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pymonik.runs.rows import ResultRow

_MOST_RESULTS: Final = 200  # the newest of a session
_MOST_TOLD: Final = 200  # reports of one answer
_REMEMBERED: Final = 2_000  # results whose reports were read; they do not change


class LiveReports:
    """Reports of a cluster. Not thread-safe.

    Args:
        lists: Of the control plane.
    """

    def __init__(self, lists: Lists) -> None:
        self._lists = lists
        self._read: dict[str, list[ReportEntry]] = {}

    def of_tasks(self, session_id: str, tasks: set[str]) -> list[dict[str, Any]]:
        """The latest reports of tasks with these first ids, the newest first.

        Raises:
            ControlPlaneError: It cannot be asked.
        """
        rows = self._lists.results_named(REPORT_PREFIX, _MOST_RESULTS, session_id=session_id)
        named = [(name.output_id, row) for row in rows if (name := live_name(row.name))]
        owners = self._owners(output_id for output_id, _ in named)
        found = [
            {
                "at": entry.at,
                "count": entry.count,
                "place": entry.place,
                "task": owners[output_id],
                "fields": entry.fields,
            }
            for output_id, row in named
            if owners.get(output_id) in tasks
            for entry in self._entries(row)
        ]
        found.sort(key=lambda one: (one["at"], one["count"]), reverse=True)
        return found[:_MOST_TOLD]

    def _owners(self, output_ids: Iterable[str]) -> dict[str, str]:
        """First ids of the tasks that make these outputs; those of monitors change hands."""
        results = self._lists.results(list(dict.fromkeys(output_ids)))
        return {one: first_id(row.owner) for one, row in results.items()}

    def _entries(self, row: ResultRow) -> list[ReportEntry]:
        if row.result_id not in self._read:
            entries: list[ReportEntry] = []
            with contextlib.suppress(PymonikError):  # its reader may have deleted it meanwhile
                entries = report_entries(self._lists.data(row))
            if len(self._read) >= _REMEMBERED:
                self._read.clear()
            self._read[row.result_id] = entries
        return self._read[row.result_id]
