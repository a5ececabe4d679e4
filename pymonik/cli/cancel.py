"""`pymonik cancel`: cancels sessions or tasks by their ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymonik.cli import connection
from pymonik.cli.printing import print_json, say
from pymonik.errors import UsageError

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    connection.add_arguments(parser)
    parser.add_argument("ids", nargs="+", metavar="ID", help="of a session or of a task")


def run(options: argparse.Namespace) -> int:
    """Cancel them, all or none.

    Raises:
        UsageError: One of them is neither; nothing was cancelled.
    """
    with connection.listing(options) as lists:
        sessions = [one for one in options.ids if lists.session(one) is not None]
        tasks = [one for one in options.ids if one not in sessions]
        # Asked before anything is cancelled: ArmoniK passes over ids that it does not know.
        known = {row.task_id for row in lists.tasks(ids=tasks)} if tasks else set()
        if unknown := [one for one in tasks if one not in known]:
            raise UsageError(f"there is no session and no task {', '.join(unknown)}")
        if tasks:
            lists.cancel_tasks(tasks)
        for session_id in sessions:
            lists.cancel_session(session_id)
    if options.json:
        print_json({"sessions": sessions, "tasks": tasks})
    else:
        say(f"cancelled: {len(sessions)} sessions, {len(tasks)} tasks")
    return 0
