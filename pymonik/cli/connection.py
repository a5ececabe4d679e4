"""Which cluster a command looks at: ``--endpoint``, ``AKCONFIG``, or one of this user here."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

from pymonik.errors import ConfigError, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from pymonik.transport.config import ClusterConfig
    from pymonik.transport.listing import Listing

_CONNECT_S = 10.0  # seconds for each request: a person waits for the answer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What every command takes that looks at a cluster."""
    parser.add_argument(
        "--endpoint",
        metavar="ADDRESS",
        help="http://host:port, https://host:port or unix:/path; default: that of AKCONFIG, or "
        "the embedded cluster of yours that was started last",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


@contextlib.contextmanager
def listing(options: argparse.Namespace) -> Iterator[Listing]:
    """The lists of the cluster that ``options`` mean.

    Raises:
        ConfigError: There is none, or its address cannot be used.
    """
    with listing_at(find(options)) as lists:
        yield lists


@contextlib.contextmanager
def listing_at(config: ClusterConfig) -> Iterator[Listing]:
    """The lists of a cluster."""
    # Imported here: gRPC takes a quarter of a second, which `pymonik --help` must not pay for.
    from pymonik.transport.channel import open_channel
    from pymonik.transport.listing import Listing

    channel = open_channel(config)
    try:
        yield Listing(channel, timeout_s=_CONNECT_S)
    finally:
        channel.close()


def check_session(lists: Listing, session_id: str) -> None:
    """Refuse the id of a session that the cluster does not have; ``""`` means all sessions.

    Raises:
        UsageError: An empty table would say that the session has nothing.
    """
    if session_id and lists.session(session_id) is None:
        raise UsageError(f"there is no session {session_id}")


def find(options: argparse.Namespace) -> ClusterConfig:
    """How to reach the cluster; tells which one it is where several would do.

    Raises:
        ConfigError: There is none, or its address cannot be used.
    """
    from pymonik.cluster.announcement import running_clusters
    from pymonik.transport.config import ClusterConfig

    config = ClusterConfig.find(options.endpoint)
    if config is not None:
        return config
    clusters = running_clusters()
    if not clusters:
        raise ConfigError(
            "no cluster: give --endpoint, set AKCONFIG, or start one with `pymonik cluster`"
        )
    newest, *others = clusters
    if others:
        sys.stderr.write(
            f"pymonik: {len(clusters)} clusters of yours are running; this is about the newest, "
            f"{newest.endpoint} (others: {', '.join(one.endpoint for one in others)})\n"
        )
    return ClusterConfig(newest.endpoint)
