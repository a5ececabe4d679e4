"""`pymonik rerun`: calls of a session that failed, once more, by whoever finds them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

from pymonik.cli import connection
from pymonik.cli.printing import print_json, say
from pymonik.errors import UsageError, WaitTimeoutError

if TYPE_CHECKING:
    import argparse

    from pymonik.client.pymonik_client import Pymonik

_LOOK_S: Final = 5.0  # seconds in which it must be known how the calls stand
_OPTIONS: Final = ("partition", "memory", "max_retries", "max_duration", "priority")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    connection.add_arguments(parser)
    parser.add_argument("session", help="name or id of the session")
    parser.add_argument("label", nargs="?", default="", help="of a run; default: all of them")
    parser.add_argument(
        "--item", type=int, action="append", help="number of a call; default: what failed"
    )
    parser.add_argument("--partition", help="where the calls run now")
    parser.add_argument("--memory", help="what each may use, such as 2G")
    parser.add_argument("--max-retries", type=int, help="attempts after the first")
    parser.add_argument("--max-duration", type=float, metavar="SECONDS", help="of each")
    parser.add_argument("--priority", type=int, help="1 to 10")


def run(options: argparse.Namespace) -> int:
    """Run them again, and leave them to the cluster.

    Raises:
        UsageError: There is no such session or run, or a payload is not there any more.
    """
    with contextlib.ExitStack() as stack:
        client = _joined(options)
        stack.callback(client.leave)
        labels = [options.label] if options.label else list(client.runs)
        if not labels:
            raise UsageError(
                f"session {options.session} has no runs that others can find: it has no name"
            )
        repairs = {label: _rerun(client, label, options) for label in labels}
    if options.json:
        print_json(
            {label: {"again": one.again, "kept": one.kept} for label, one in repairs.items()}
        )
    else:
        for label, one in repairs.items():
            say(f"{label}: {one!r}")
    return 0


def _joined(options: argparse.Namespace) -> Pymonik:
    from pymonik.client.pymonik_client import Pymonik
    from pymonik.kept.joining import find_session

    config = connection.find(options)
    with connection.listing_at(config) as lists:
        if find_session(lists, options.session) is None:
            raise UsageError(f"there is no session {options.session} that takes calls")
    return Pymonik(
        config.endpoint,
        session=options.session,
        on_exit="keep",
        certificate_authority=config.certificate_authority,
        client_certificate=config.client_certificate,
        client_key=config.client_key,
        override_target_name=config.override_target_name,
    ).create()


def _rerun(client: Pymonik, label: str, options: argparse.Namespace) -> Any:
    handles = client.runs[label]
    with contextlib.suppress(WaitTimeoutError):
        handles.wait(_LOOK_S, return_exceptions=True)
    chosen = None
    if options.item:
        chosen = [handle for handle in handles if handle.index in options.item]
        if len(chosen) < len(set(options.item)):
            raise UsageError(f"run {label} has no such items, or they never left")
    given = {name: value for name in _OPTIONS if (value := getattr(options, name)) is not None}
    return handles.rerun(chosen, **given)
