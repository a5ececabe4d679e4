"""`pymonik sessions`: sessions of the cluster, the newest first, with their tasks by outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymonik.cli import connection
from pymonik.cli.printing import age, show
from pymonik.runs.summaries import counts

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    connection.add_arguments(parser)
    parser.add_argument("--limit", type=int, default=20, help="most sessions; default: 20")


def run(options: argparse.Namespace) -> int:
    """Print them."""
    with connection.listing(options) as lists:
        rows = [
            {
                "session_id": session.session_id,
                "name": session.name,
                "status": session.status,
                "partitions": list(session.partitions),
                "age_s": age(session.created),
                "tasks": counts(lists.count_tasks(session.session_id)),
            }
            for session in lists.sessions(options.limit)
        ]
    show(rows, as_json=options.json, none="no sessions")
    return 0
