"""`pymonik monitors`: monitors that go on, what they have said last, and their end."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pymonik.cli import connection
from pymonik.cli.printing import age, say, show
from pymonik.errors import ControlPlaneError, UsageError
from pymonik.session.board import NAME, read
from pymonik.wire.live import REPORT_PREFIX, ReportEntry, live_name, report_entries

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from pymonik.transport.listing import Listing


class _Known(NamedTuple):
    """A monitor as the board of its session names it."""

    name: str
    result_id: str
    session_id: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    connection.add_arguments(parser)
    parser.add_argument("monitors", nargs="*", metavar="MONITOR", help="only these: names or ids")
    parser.add_argument("--stop", action="store_true", help="ask them to end after the call")


def run(options: argparse.Namespace) -> int:
    """Print them, or stop those that are named.

    Raises:
        UsageError: None is named that is to stop.
    """
    if options.stop and not options.monitors:
        raise UsageError("--stop: say which monitors, by name or id")
    with connection.listing(options) as lists:
        found = [
            one
            for one in _going_on(lists)
            if not options.monitors or {one.name, one.result_id} & {*options.monitors}
        ]
        rows = [_row(lists, one) for one in found]
    if options.stop:
        _stop(connection.find(options).endpoint, found)
    show(rows, as_json=options.json, none="no monitor goes on")
    if options.stop and not options.json:
        say(f"{len(found)} asked to stop")
    return 0


def _going_on(lists: Listing) -> Iterator[_Known]:
    for board in lists.results_named(NAME, exactly=True):
        try:
            names = read(lists.data(board)).monitors
        except ControlPlaneError:  # the session of the board is being deleted
            continue
        for row in lists.results([*names]).values():
            if row.status == "CREATED":
                yield _Known(names[row.result_id], row.result_id, board.session_id)


def _row(lists: Listing, one: _Known) -> dict[str, object]:
    last = _last_report(lists, one)
    return {
        "name": one.name,
        "id": one.result_id,
        "session": one.session_id,
        "said_s_ago": age(last.at) if last is not None else None,
        "said": last.fields if last is not None else {},
    }


def _last_report(lists: Listing, one: _Known) -> ReportEntry | None:
    prefix = f"{REPORT_PREFIX}{one.result_id}/"
    rows = lists.results_named(prefix, session_id=one.session_id)
    named = [(name, row) for row in rows if (name := live_name(row.name)) is not None]
    if not named:
        return None
    _, newest = max(named, key=lambda pair: (pair[1].created or 0.0, pair[0].number))
    try:
        return max(report_entries(lists.data(newest)), key=lambda entry: entry.at, default=None)
    except ControlPlaneError:  # the result of the report was deleted meanwhile
        return None


def _stop(endpoint: str, monitors: list[_Known]) -> None:
    from pymonik.client.pymonik_client import Pymonik  # only to say something takes a client

    for one in monitors:
        with Pymonik(endpoint, session=one.session_id, on_exit="keep", output="quiet") as client:
            # Through a client that joins the session: the board is one result, and whoever changes
            # it has to tell the tasks that run.
            for there in client.monitors():
                if there.result_id_of_state == one.result_id:
                    there.stop()
