"""`pymonik sessions`: sessions of the cluster, the newest first; deletes those that are meant."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pymonik.cli import connection
from pymonik.cli.numbers import at_least_one
from pymonik.cli.printing import in_bytes, say, show
from pymonik.errors import UsageError
from pymonik.runs.tidying import age_s, delete, is_lost, known

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from pymonik.runs.rows import SessionRow
    from pymonik.runs.tidying import KnownSession
    from pymonik.transport.listing import Listing

_MOST_LOOKED_AT = 10_000  # sessions, where only some are meant


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    connection.add_arguments(parser)
    parser.add_argument("ids", nargs="*", metavar="SESSION", help="only these: ids or names")
    parser.add_argument("--limit", type=at_least_one, default=20, help="most sessions; default: 20")
    parser.add_argument("--older", metavar="AGE", help="only those opened before: 7d, 12h, 90m")
    parser.add_argument(
        "--lost",
        action="store_true",
        help="only those without a name whose program, on this machine, has ended",
    )
    parser.add_argument(
        "--delete", action="store_true", help="delete them, with their tasks and results"
    )


def run(options: argparse.Namespace) -> int:
    """Print them, or what of them was deleted.

    Raises:
        UsageError: Everything would be deleted: nothing says which are meant.
    """
    is_chosen = bool(options.ids or options.older or options.lost)
    if options.delete and not is_chosen:
        raise UsageError("--delete: say which sessions, by id or name, --lost or --older 7d")
    with connection.listing(options) as lists:
        limit = _MOST_LOOKED_AT if is_chosen else options.limit
        rows = _chosen(options, lists, lists.sessions(limit))
        if not options.delete:
            rows = rows[: options.limit]
        sessions = [known(lists, row) for row in rows]
        if options.delete:
            for row in rows:
                delete(lists, row)
    show([_row(one, as_json=options.json) for one in sessions], as_json=options.json, none="none")
    if options.delete and not options.json:
        say(f"deleted: {len(sessions)} sessions, {in_bytes(sum(one.nbytes for one in sessions))}")
    return 0


def _chosen(
    options: argparse.Namespace, lists: Listing, rows: Sequence[SessionRow]
) -> list[SessionRow]:
    found = list(rows)
    if options.ids:
        found = [row for row in found if row.session_id in options.ids or row.name in options.ids]
    if options.older:
        oldest_s = age_s(options.older)
        found = [row for row in found if _age_s(row) >= oldest_s]
    if options.lost:
        found = [row for row in found if is_lost(lists, row)]
    return found


def _age_s(row: SessionRow) -> float:
    return 0.0 if row.created is None else max(0.0, time.time() - row.created)


def _row(session: KnownSession, *, as_json: bool) -> dict[str, object]:
    return {
        "session_id": session.session_id,
        "name": session.name,
        "status": session.status,
        "age_s": round(session.age_s, 1),
        "size": session.nbytes if as_json else in_bytes(session.nbytes),
        "results": session.results,
        "tasks": dict(session.tasks),
        "runs": list(session.runs),
        "client": session.client,
    }
