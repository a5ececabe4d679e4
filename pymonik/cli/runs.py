"""`pymonik runs`: what `map_invoke` and `invoke` started, with tasks by outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymonik.cli import connection
from pymonik.cli.printing import age, say, show
from pymonik.runs.summaries import by_run

if TYPE_CHECKING:
    import argparse

_MOST_TASKS = 20_000  # a listing of more takes seconds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    connection.add_arguments(parser)
    parser.add_argument("session", nargs="?", default="", help="only those of this session")


def run(options: argparse.Namespace) -> int:
    """Print them."""
    with connection.listing(options) as lists:
        tasks = lists.tasks(session_id=options.session, limit=_MOST_TASKS, newest_first=True)
    rows = [
        {
            "label": run.label,
            "function": run.function,
            "ok": run.ok,
            "failed": run.failed,
            "cancelled": run.cancelled,
            "running": run.running,
            "pending": run.pending,
            "age_s": age(run.started),
            "session_id": run.session_id,
        }
        for run in by_run(tasks)
    ]
    show(rows, as_json=options.json, none="no runs")
    if len(tasks) == _MOST_TASKS and not options.json:
        say(f"(of the {_MOST_TASKS} tasks that were submitted last)")
    return 0
