"""`pymonik why`: why tasks of a session have not ended."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from pymonik.cli import connection
from pymonik.cli.printing import print_json, say
from pymonik.errors import UsageError
from pymonik.runs.looking import why_session
from pymonik.runs.rows import LIVE

if TYPE_CHECKING:
    import argparse

    from pymonik.transport.listing import Listing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    connection.add_arguments(parser)
    parser.add_argument(
        "session", nargs="?", default="", help="default: that of the task that waits longest"
    )


def run(options: argparse.Namespace) -> int:
    """Print it.

    Raises:
        UsageError: There is no such session.
    """
    with connection.listing(options) as lists:
        session_id = options.session or _session_that_waits(lists)
        if session_id and lists.session(session_id) is None:
            raise UsageError(f"there is no session {session_id}")
        why = why_session(lists, session_id) if session_id else None
    if options.json:
        print_json(None if why is None else {**asdict(why), "likely": why.likely})
    else:
        say("every task has ended" if why is None else str(why))
    return 0


def _session_that_waits(lists: Listing) -> str:
    return next((task.session_id for task in lists.tasks(statuses=LIVE, limit=1)), "")
