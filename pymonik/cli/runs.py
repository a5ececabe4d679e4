"""`pymonik runs`: what `map_invoke` and `invoke` started, with tasks by outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymonik.cli import connection
from pymonik.cli.printing import age, say, show
from pymonik.runs.partly_failed import partly_failed
from pymonik.runs.reading import drop_unsent, outputs_of, read_runs, standing
from pymonik.runs.summaries import by_run

if TYPE_CHECKING:
    import argparse

    from pymonik.runs.summaries import RunSummary
    from pymonik.transport.listing import Listing

_Row = dict[str, object]
_MOST_TASKS = 20_000  # a listing of more takes seconds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    connection.add_arguments(parser)
    parser.add_argument("session", nargs="?", default="", help="only those of this session")


def _recorded(lists: Listing, session_id: str) -> dict[tuple[str, str, str], list[_Row]]:
    """Runs that have records, by session, label and function: these know of each item."""
    runs = read_runs(lists, session_id)
    outputs = outputs_of(lists, runs)
    for run in runs:
        drop_unsent(run, outputs)
    found: dict[tuple[str, str, str], list[_Row]] = {}
    for run, counted in zip(runs, standing(lists, runs, outputs), strict=True):
        row: _Row = {
            "label": run.label,
            "function": run.function.name,
            "ok": counted.ok,
            "failed": counted.failed,
            "failed_calls": None,
            "cancelled": counted.cancelled,
            "running": None,
            "pending": counted.to_go,
            "age_s": age(run.started),
            "session_id": run.session_id,
        }
        # The runs of one label are told each, the last one first; lists of tasks mix them.
        found.setdefault((run.session_id, run.label, run.function.name), []).insert(0, row)
    return found


def _row(run: RunSummary) -> _Row:
    return {
        "label": run.label,
        "function": run.function,
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
    """Print them."""
    with connection.listing(options) as lists:
        tasks = lists.tasks(session_id=options.session, limit=_MOST_TASKS, newest_first=True)
        recorded = _recorded(lists, options.session)
        partly = partly_failed(lists, options.session)
    listed = [(run.key, _row(run)) for run in by_run(tasks, partly)]
    # A record counts calls, a list counts tasks: where there is a record it says more.
    rows = [one for key, row in listed for one in recorded.pop(key, [row])]
    rows += [one for some in recorded.values() for one in some]
    show(rows, as_json=options.json, none="no runs")
    if len(tasks) == _MOST_TASKS and not options.json:
        say(f"(of the {_MOST_TASKS} tasks that were submitted last)")
    return 0
