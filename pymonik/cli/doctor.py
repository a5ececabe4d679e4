"""`pymonik doctor`: what stands between a program and its cluster, checked one after the other."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import socket
import time
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from pymonik.cli import connection
from pymonik.cli.printing import print_json, say
from pymonik.errors import PymonikError
from pymonik.wording import span

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from pymonik.runs.rows import PartitionRow
    from pymonik.transport.config import ClusterConfig
    from pymonik.transport.listing import Listing

_CLOCKS_S: Final = 5.0  # clocks that differ more make times of calls useless
_INDEX_S: Final = 3.0  # seconds for a connection to the index of packages
_INDEX_VARIABLES: Final = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")


class Check(NamedTuple):
    """One thing that was looked at.

    Attributes:
        is_good: ``None`` where that cannot be said.
    """

    name: str
    is_good: bool | None
    text: str


def _good(name: str, text: str) -> Check:
    return Check(name, is_good=True, text=text)


def _bad(name: str, text: str) -> Check:
    return Check(name, is_good=False, text=text)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    connection.add_arguments(parser)
    parser.add_argument(
        "--timeout",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="for the call that is run in each partition; 0 runs none; default: 30",
    )


def run(options: argparse.Namespace) -> int:
    """Print the checks as they are made; 1 if one of them found something wrong."""
    checks: list[Check] = []
    for check in _checks(options):
        checks.append(check)
        if not options.json:
            mark = {True: "ok  ", False: "FAIL", None: "?   "}[check.is_good]
            say(f"{mark} {check.name}: {check.text}")
    if options.json:
        print_json([check._asdict() for check in checks])
    return int(any(check.is_good is False for check in checks))


def _checks(options: argparse.Namespace) -> Iterator[Check]:
    version = importlib.metadata.version("pymonik")
    yield _good("here", f"pymonik {version}, Python {platform.python_version()}")
    config = connection.find(options)
    kind = "TLS" if config.is_secure else "a unix socket" if config.is_local_socket else "no TLS"
    yield _good("endpoint", f"{config.endpoint} ({kind})")
    with connection.listing(options) as lists:
        try:
            began = time.monotonic()
            versions = lists.versions()
        except PymonikError as error:
            yield _bad("connection", str(error))
            return
        took = span(time.monotonic() - began)
        yield _good("connection", f"core {versions['core']}, answered in {took}")
        yield _health(lists)
        partitions = lists.partitions()
    for partition in partitions:
        yield from _partition(config, partition, options.timeout)


def _health(lists: Listing) -> Check:
    try:
        parts = lists.health()
    except PymonikError as error:  # asking for the health may be forbidden
        return Check("health", None, str(error))
    ill = {name: state for name, state in parts.items() if state != "HEALTHY"}
    shown = ", ".join(f"{name} {state.lower()}" for name, state in (ill or parts).items())
    return Check("health", not ill, shown or "nothing is said")


def _partition(config: ClusterConfig, partition: PartitionRow, timeout: float) -> Iterator[Check]:
    name = f'partition "{partition.name}"'
    if partition.pods_max == 0:
        yield _bad(name, "0 pods allowed: tasks wait there for ever")
        return
    yield _good(name, f"at most {partition.pods_max} pods")
    if timeout <= 0:
        return
    try:
        asked = time.time()
        told = _told_by_worker(config, partition.name, timeout)
    except (PymonikError, OSError) as error:
        yield _bad(f"{name}, a call", str(error))
        return
    yield Check(
        f"{name}, a call",
        told["pymonik"] == importlib.metadata.version("pymonik"),
        f"pymonik {told['pymonik']}, Python {told['python']} on {told['host']}",
    )
    # The worker looked at its clock between these two instants; what is outside is a difference.
    differs = max(asked - float(told["clock"]), float(told["clock"]) - time.time(), 0.0)
    yield Check(f"{name}, clock", differs < _CLOCKS_S, f"differs by at least {span(differs)}")
    yield Check(f"{name}, package index", told["index"] == "", told["index"] or "answers")


def _told_by_worker(config: ClusterConfig, partition: str, timeout: float) -> dict[str, str]:
    from pymonik.client.pymonik_client import Pymonik
    from pymonik.tasks.task import Task

    client = Pymonik(
        config.endpoint,
        partition=partition,
        certificate_authority=config.certificate_authority,
        client_certificate=config.client_certificate,
        client_key=config.client_key,
        override_target_name=config.override_target_name,
    ).create()
    try:
        # A function of pymonik travels by its name: an older worker says here that it does not know
        # it.
        handle = Task(report, func_name="doctor").invoke(pymonik=client)
        return handle.result(timeout=timeout)
    finally:
        client.cancel()


def report() -> dict[str, str]:
    """What a worker has to say of itself; it runs there."""
    return {
        "pymonik": importlib.metadata.version("pymonik"),
        "python": platform.python_version(),
        "host": socket.gethostname(),
        "clock": str(time.time()),
        "index": _index_trouble(),
    }


def _index_trouble() -> str:
    """Why packages cannot be fetched from the index; ``""`` if it answers."""
    named = next((url for one in _INDEX_VARIABLES if (url := os.environ.get(one))), "")
    parts = urlsplit(named or "https://pypi.org/simple")
    port = parts.port or (80 if parts.scheme == "http" else 443)
    try:
        socket.create_connection((parts.hostname or "", port), _INDEX_S).close()
    except OSError as error:
        return f"{parts.hostname}:{port} does not answer ({error})"
    return ""
