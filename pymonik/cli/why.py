"""`pymonik why`: why tasks of a session, or one of them, have not ended."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from pymonik.cli import connection
from pymonik.cli.printing import print_json, say
from pymonik.errors import UsageError
from pymonik.runs.looking import why, why_session
from pymonik.runs.rows import LIVE

if TYPE_CHECKING:
    import argparse

    from pymonik.runs.reasons import Why
    from pymonik.transport.listing import Listing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    connection.add_arguments(parser)
    parser.add_argument(
        "what",
        nargs="?",
        default="",
        metavar="SESSION|TASK",
        help="default: the session of the task that waits longest",
    )


def run(options: argparse.Namespace) -> int:
    """Print it.

    Raises:
        UsageError: There is no such session or task.
    """
    with connection.listing(options) as lists:
        what = options.what or _session_that_waits(lists)
        found = _why(lists, what) if what else None
    if options.json:
        print_json(None if found is None else {**asdict(found), "likely": found.likely})
    else:
        say("every task has ended" if found is None else str(found))
    return 0


def _why(lists: Listing, what: str) -> Why:
    if lists.session(what) is not None:
        return why_session(lists, what)
    for task in lists.tasks(ids=[what]):
        is_waiting = task.status in LIVE or task.status == "RETRIED"
        waiting = {task.first_id: 1} if is_waiting else {}
        title = task.function or f"task {what}"
        return why(lists, task.session_id, title=title, waiting=waiting, total=1)
    raise UsageError(f"there is no session and no task {what}")


def _session_that_waits(lists: Listing) -> str:
    # The oldest comes first.
    return next((task.session_id for task in lists.tasks(statuses=LIVE, limit=1)), "")
