"""`pymonik top`: what the cluster does, again and again until Ctrl-C."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final

from pymonik.cli import connection
from pymonik.cli.numbers import above_zero
from pymonik.cli.printing import print_json, say, table
from pymonik.cli.tasks import as_row
from pymonik.runs.rows import LIVE, RUNNING
from pymonik.runs.summaries import by_run, counts

if TYPE_CHECKING:
    import argparse

    from pymonik.transport.listing import Listing

_CLEAR: Final = "\x1b[H\x1b[2J"  # to the upper left corner; erases the screen
_MOST_TASKS: Final = 5_000  # that have not ended; of more, those submitted first are shown
_MOST_ROWS: Final = 15  # of each table, so that both fit on a screen
_RUN: Final = ("label", "function", "running", "pending")
_TASK: Final = ("function", "run", "partition", "worker", "seconds", "attempt", "task_id")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    connection.add_arguments(parser)
    parser.add_argument(
        "--every", type=above_zero, default=2.0, metavar="SECONDS", help="default: 2 seconds"
    )


def run(options: argparse.Namespace) -> int:
    """Show it; only once where nobody would see it change."""
    with connection.listing(options) as lists:
        if options.json:
            print_json(_state(lists))
            return 0
        while True:
            text = _text(_state(lists))
            if not sys.stdout.isatty():
                say(text)
                return 0
            say(f"{_CLEAR}{text}")
            time.sleep(max(0.1, options.every))  # each look is a few requests


def _state(lists: Listing) -> dict[str, object]:
    live = lists.tasks(statuses=LIVE, limit=_MOST_TASKS)
    running = sorted(
        (row for row in live if row.status in RUNNING), key=lambda row: row.started or time.time()
    )
    runs = [
        {"label": run.label, "function": run.function, "running": run.running}
        | {"pending": run.pending, "session_id": run.session_id}
        for run in by_run(live)
    ]
    return {
        "tasks": counts(lists.count_tasks()),
        "runs": runs,
        "running": [as_row(row) for row in running],
    }


def _text(state: dict[str, object]) -> str:
    totals: dict[str, int] = state["tasks"]  # type: ignore[assignment] # as `_state` made it
    runs: list[dict[str, object]] = state["runs"]  # type: ignore[assignment]
    running: list[dict[str, object]] = state["running"]  # type: ignore[assignment]
    numbers = " · ".join(f"{number} {name}" for name, number in totals.items()) or "no tasks"
    parts = [f"{time.strftime('%H:%M:%S')}   {numbers}"]
    parts += ["", *_rows(runs, _RUN)] if runs else []
    parts += ["", *_rows(running, _TASK)] if running else []
    return "\n".join(parts)


def _rows(rows: list[dict[str, object]], columns: tuple[str, ...]) -> list[str]:
    shown = [{name: row[name] for name in columns} for row in rows[:_MOST_ROWS]]
    more = len(rows) - len(shown)
    return table(shown) + ([f"and {more} more"] if more else [])
