"""`pymonik ps`: the tasks that workers have now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymonik.cli import connection
from pymonik.cli.printing import show
from pymonik.cli.tasks import as_row
from pymonik.runs.rows import RUNNING

if TYPE_CHECKING:
    import argparse

_SHOWN = ("task_id", "function", "run", "status", "partition", "worker", "seconds", "session_id")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    connection.add_arguments(parser)
    parser.add_argument("session", nargs="?", default="", help="only those of this session")


def run(options: argparse.Namespace) -> int:
    """Print them."""
    with connection.listing(options) as lists:
        connection.check_session(lists, options.session)
        tasks = lists.tasks(session_id=options.session, statuses=sorted(RUNNING))
    rows = [{name: as_row(task)[name] for name in _SHOWN} for task in tasks]
    show(rows, as_json=options.json, none="no task is running")
    return 0
