"""`pymonik dashboard`: the page that shows a cluster, until Ctrl-C."""

from __future__ import annotations

import threading
import webbrowser
from typing import TYPE_CHECKING

from pymonik.cli import connection
from pymonik.cli.printing import print_json, say
from pymonik.launch.stopping import Stopping

if TYPE_CHECKING:
    import argparse

    from pymonik.page.serving import Dashboard


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    connection.add_arguments(parser)
    parser.add_argument("--port", type=int, default=0, help="of loopback; default: a free one")
    parser.add_argument(
        "--host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name under which a proxy makes the page reachable",
    )
    parser.add_argument(
        "--open", action="store_true", help="open it in the browser of this machine"
    )


def run(options: argparse.Namespace) -> int:
    """Serve it until a signal comes."""
    stopping = Stopping()
    config = connection.find(options)
    with connection.listing_at(config) as lists:
        from pymonik.page.board import Board
        from pymonik.page.serving import Dashboard

        lists.partitions()  # or a page without rows would tell that nobody answers
        board = Board(lists, lists, endpoint=config.endpoint, is_here=config.is_local_socket)
        with Dashboard(board, title="pymonik", port=options.port, hosts=options.host) as dashboard:
            _tell(dashboard, options)
            stopping.requested.wait()
    return 0


def _tell(dashboard: Dashboard, options: argparse.Namespace) -> None:
    if options.json:
        print_json({"address": dashboard.address, "proxied": dashboard.proxied_address})
    else:
        say(f"open {dashboard.address}")
        if dashboard.proxied_address:
            say(f"behind the hub: {dashboard.proxied_address}")
        say("whoever has this address may look and cancel; Ctrl-C ends it")
    if options.open:
        # In a thread, since some browsers return only when they are closed.
        threading.Thread(target=webbrowser.open, args=(dashboard.address,), daemon=True).start()
