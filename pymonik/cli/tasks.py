"""`pymonik tasks`: tasks, the newest first; and how a task is shown, for other commands too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymonik.cli import connection
from pymonik.cli.numbers import at_least_one
from pymonik.cli.printing import age, show
from pymonik.runs.partly_failed import partly_failed
from pymonik.runs.rows import STATES

if TYPE_CHECKING:
    import argparse

    from pymonik.runs.partly_failed import PartlyFailed
    from pymonik.runs.rows import TaskRow


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    connection.add_arguments(parser)
    parser.add_argument("session", nargs="?", default="", help="only those of this session")
    parser.add_argument("--state", choices=sorted(STATES), help="only those in this state")
    parser.add_argument("--limit", type=at_least_one, default=100, help="most tasks; default: 100")


def run(options: argparse.Namespace) -> int:
    """Print them."""
    with connection.listing(options) as lists:
        connection.check_session(lists, options.session)
        rows = lists.tasks(
            session_id=options.session,
            statuses=STATES[options.state] if options.state else (),
            limit=options.limit,
            newest_first=True,
        )
        partly = partly_failed(lists, options.session)
    shown = [as_row(row, partly.get(row.task_id)) for row in rows]
    show(shown, as_json=options.json, none="no tasks")
    return 0


def as_row(row: TaskRow, partly: PartlyFailed | None = None) -> dict[str, object]:
    """A task as people and programs see it.

    Args:
        row: The task.
        partly: What is told of its calls, if some failed and the task ended well.
    """
    return {
        "task_id": row.task_id,
        "function": row.function,
        "run": row.run,
        "status": row.status,
        "partition": row.partition,
        "worker": row.worker,
        "attempt": row.attempt,
        "age_s": age(row.created),
        "seconds": age(row.started, row.ended),
        "session_id": row.session_id,
        "error": _first_line(row.error) or ("" if partly is None else str(partly)),
    }


def _first_line(text: str) -> str:
    """The line of an error that says most: the last of a traceback is the exception."""
    lines = text.strip().splitlines()
    if lines and lines[0].startswith("Traceback"):
        return next((line for line in reversed(lines) if line and not line[0].isspace()), "")
    return lines[0] if lines else ""
