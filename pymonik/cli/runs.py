"""`pymonik runs`: what `map_invoke` and `invoke` started, with tasks by outcome."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pymonik.cli import connection
from pymonik.cli.printing import age, say, show
from pymonik.runs.partly_failed import partly_failed
from pymonik.runs.reading import drop_unsent, outputs_of, read_runs, standing
from pymonik.runs.rows import RUNNING, first_id
from pymonik.runs.summaries import by_run

if TYPE_CHECKING:
    import argparse

    from pymonik.runs.reading import Standing
    from pymonik.runs.summaries import RunSummary
    from pymonik.session.recorded import RecordedRun
    from pymonik.transport.listing import Listing

_Row = dict[str, object]
_MOST_TASKS = 20_000  # a listing of more takes seconds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    connection.add_arguments(parser)
    parser.add_argument("session", nargs="?", default="", help="only those of this session")


@dataclass
class _Recorded:
    """What records tell.

    Attributes:
        rows: A line for each run that has records.
        keys: Session, label and function of those.
        tasks: First ids of their tasks, which need no line of their own.
    """

    rows: list[_Row]
    keys: set[tuple[str, str, str]]
    tasks: set[str]


def _recorded(lists: Listing, session_id: str, running: set[str]) -> _Recorded:
    """Runs that have records: these know of each item."""
    runs = read_runs(lists, session_id)
    outputs = outputs_of(lists, runs)
    for run in runs:
        drop_unsent(run, outputs)
    counted = standing(lists, runs, outputs, running)
    return _Recorded(
        [_row_of_record(run, found) for run, found in zip(runs, counted, strict=True)],
        {(run.session_id, run.label, run.function.name) for run in runs},
        {first_id(row.owner) for row in outputs.values()},
    )


def _row_of_record(run: RecordedRun, counted: Standing) -> _Row:
    return {
        "label": run.label,
        "function": run.function.name,
        "unit": "calls",
        "ok": counted.ok,
        "failed": counted.failed,
        "failed_calls": counted.failed,
        "cancelled": counted.cancelled,
        "running": counted.running,
        "pending": counted.to_go - counted.running + counted.left,
        "age_s": age(run.started),
        "session_id": run.session_id,
    }


def _row(run: RunSummary) -> _Row:
    return {
        "label": run.label,
        "function": run.function,
        "unit": "tasks",
        "ok": run.ok,
        "failed": run.failed,
        "failed_calls": run.failed_calls,
        "cancelled": run.cancelled,
        "running": run.running,
        "pending": run.pending,
        "age_s": age(run.started),
        "session_id": run.session_id,
    }


def run(options: argparse.Namespace) -> int:
    """Print them, those that were started last first."""
    with connection.listing(options) as lists:
        connection.check_session(lists, options.session)
        tasks = lists.tasks(session_id=options.session, limit=_MOST_TASKS, newest_first=True)
        running = {row.first_id for row in tasks if row.status in RUNNING}
        recorded = _recorded(lists, options.session, running)
        partly = partly_failed(lists, options.session)
    # A record counts calls, a list counts tasks: where there is a record it says more. Parts of
    # chunks are tasks that no record names, under the label and function of their run.
    others = by_run((row for row in tasks if row.first_id not in recorded.tasks), partly)
    rows = recorded.rows + [_row(one) for one in others if one.key not in recorded.keys]
    rows.sort(key=_age)
    show(rows, as_json=options.json, none="no runs")
    if len(tasks) == _MOST_TASKS and not options.json:
        say(f"(of the {_MOST_TASKS} tasks that were submitted last)")
    return 0


def _age(row: _Row) -> float:
    seconds = row["age_s"]
    return seconds if isinstance(seconds, float) else float("inf")
