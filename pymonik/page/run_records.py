"""The runs that programs have recorded in a cluster, and how far their items are, look by look.

Records never change, and are read once; a result that has ended is not asked for again. So what a
look costs depends on what has happened since the look before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pymonik.page import details
from pymonik.page.recorded_view import RecordedView
from pymonik.page.stored_arguments import StoredArguments
from pymonik.page.told_failures import told_failures
from pymonik.runs.item_ends import ItemEnds
from pymonik.runs.reading import read_records
from pymonik.runs.rows import LIVE, RUNNING
from pymonik.session.recorded import RecordedRun
from pymonik.wire.call import RUN_RECORD_PREFIX

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from pymonik.runs.rows import Lists, TaskRow
    from pymonik.wire.call import RunRecord

_MOST_RECORDS: Final = 5_000  # the newest of the cluster
_MOST_RUNS: Final = 50  # that are followed, those that were started last
_HEADS_A_LOOK: Final = 200  # of results of chunks: the page must answer meanwhile
_FAILURES_A_LOOK: Final = 50  # results out of which failures are read


class RunRecords:
    """Runs of a cluster as their records tell of them. Not thread-safe.

    Args:
        lists: Of the control plane.
    """

    def __init__(self, lists: Lists) -> None:
        self._lists = lists
        self._ends = ItemEnds(lists)
        self._read: frozenset[str] = frozenset()  # ids of records
        self._arguments = StoredArguments(lists)
        self._views: dict[str, RecordedView] = {}
        self._shown: list[RecordedView] = []
        self._dropped: set[str] = set()  # runs that are too old to be followed

    @property
    def views(self) -> list[RecordedView]:
        """One for each run that is followed and is not held."""
        return self._shown

    def look(self, tasks: Mapping[str, TaskRow], held: Collection[str] = ()) -> None:
        """Bring the runs up to date.

        Args:
            tasks: The last attempt at each task that is known, by its first id.
            held: Results of runs that are shown of their handles: these are not looked for.

        Raises:
            ControlPlaneError: It cannot be asked.
        """
        self._look_for_records()
        views = [view for view in self._newest() if not any(map(view.holds, held))]
        for view in views:
            view.take_in()
        self._shown = views
        changed = self._ends.look(
            (output for view in views for output in view.unsettled()),
            {output for view in views for output in view.chunks},
            is_live=lambda one: one in tasks and tasks[one].status in LIVE,
            most_heads=_HEADS_A_LOOK,
        )
        running = frozenset(one for one, row in tasks.items() if row.status in RUNNING)
        for view in views:
            view.learn(changed, tasks, running)
            self._read_failures(view)

    def call(self, view: RecordedView, number: int, rows: Iterable[TaskRow]) -> dict[str, Any]:
        """All that is known of a call; see `pymonik.page.details`."""
        return details.of_recorded(view, number, rows, self._lists, self._ends)

    def forget(self, session_id: str) -> None:
        """A session was deleted, with its records."""
        self._views = {
            one: view for one, view in self._views.items() if view.session_id != session_id
        }
        self._shown = [view for view in self._shown if view.session_id != session_id]

    def _newest(self) -> list[RecordedView]:
        views = sorted(self._views.values(), key=lambda view: view.started)
        self._dropped |= {view.run.run for view in views[:-_MOST_RUNS]}
        self._views = {view.run.run: view for view in views[-_MOST_RUNS:]}
        return views[-_MOST_RUNS:]

    def _read_failures(self, view: RecordedView) -> None:
        untold = dict(list(view.untold().items())[:_FAILURES_A_LOOK])
        rows = [row for one in untold if (row := self._ends.row(one)) is not None]
        if rows:
            view.tell(told_failures(self._lists, rows, untold))

    def _look_for_records(self) -> None:
        rows = self._lists.results_named(RUN_RECORD_PREFIX, _MOST_RECORDS)
        fresh = [row for row in rows if row.result_id not in self._read]
        self._read = frozenset(row.result_id for row in rows)
        self._add(read_records(self._lists, fresh))

    def _add(self, records: Iterable[tuple[str, RunRecord]]) -> None:
        for session_id, record in sorted(records, key=lambda pair: pair[1].written):
            if record.run in self._dropped:
                continue
            view = self._views.get(record.run)
            if view is None:
                run = RecordedRun(
                    record.run, session_id, record.label, record.function, single=record.single
                )
                view = self._views[record.run] = RecordedView(run, self._ends, self._arguments)
            view.add(record)
