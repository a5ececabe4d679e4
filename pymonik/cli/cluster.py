"""`pymonik cluster`: an embedded cluster in the foreground."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path

from pymonik.cluster import freed_memory, kept
from pymonik.cluster.folder import private_folder
from pymonik.cluster.host import EmbeddedCluster
from pymonik.cluster.local import DEFAULT_PARTITION, GRACE_S, LONGEST_DRAIN_S, current_folder
from pymonik.cluster.shape import ClusterConfig, check_room
from pymonik.code import failure
from pymonik.errors import UsageError
from pymonik.launch import orphans
from pymonik.launch.chosen_gpus import gpu_names
from pymonik.launch.sizes import size
from pymonik.launch.stopping import Stopping, end_by_force

STOP_TIMEOUT_S = 15.0  # seconds until a stop that does not come to its end is ended by force
LINGER_S = 5.0  # seconds for clients to read the values of tasks that have just ended


def run(options: argparse.Namespace) -> int:
    """Serve until a signal comes; gives the exit code."""
    if options.stop:
        _say("stopped" if kept.stop() else "no kept cluster of yours is running")
        return 0
    # Both are settings of the process, and must stand before it has threads and children.
    freed_memory.set_up()
    orphans.adopt()
    config = ClusterConfig(
        partitions=_partitions(options),
        worker=shlex.split(options.worker) if options.worker else None,
        port=options.port,
        socket=_socket(options),
        inherit_output=True,
        memory_limit=options.memory_limit,
        grace_s=options.grace,
        current_folder=current_folder(),
        data_folder=options.data,
        gpus=options.gpus,
    )
    check_room(config)
    # From here on signals are kept: one that comes while the cluster starts ends it.
    stopping = Stopping()
    with private_folder(options.folder) as folder:
        cluster = EmbeddedCluster(config, folder)
        try:
            cluster.start(stopping.requested)
            if not stopping.requested.is_set():
                _say(f"listening on {cluster.endpoint} ({_shown(config)}); Ctrl-C stops it")
            failure.load()
            stopping.requested.wait()
            _drain(cluster, options.drain, stopping)
        finally:
            end_by_force(STOP_TIMEOUT_S)
            cluster.stop()
    _say("stopped")
    return 0


def _socket(options: argparse.Namespace) -> Path | None:
    """Clients find a cluster that comes back where it was."""
    if options.socket is None and options.port is None and options.data is not None:
        return Path(options.data) / kept.SOCKET
    return options.socket and Path(options.socket)


def _drain(cluster: EmbeddedCluster, timeout_s: float, stopping: Stopping) -> None:
    """Let running tasks end, and clients read what they gave."""
    if timeout_s <= 0:
        return
    _say(f"running tasks have {timeout_s:g} s to end; a second signal ends them at once")
    running = cluster.drain(timeout_s, stopping.hurried)
    if running:
        _say(f"{running} tasks did not end in time")
    cluster.linger(LINGER_S, stopping.hurried)


def _partitions(options: argparse.Namespace) -> dict[str, int]:
    if options.partition:
        return dict(options.partition)
    count = options.workers
    if count is None:
        count = len(options.gpus) or os.cpu_count() or 1
    return {DEFAULT_PARTITION: count}


def _shown(config: ClusterConfig) -> str:
    return ", ".join(f"{name}: {count} workers" for name, count in config.partitions.items())


def _say(text: str) -> None:
    sys.stdout.write(f"pymonik cluster: {text}\n")
    sys.stdout.flush()


def _partition(text: str) -> tuple[str, int]:
    name, separator, count = text.partition("=")
    if not name or not separator or not count.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=NUMBER")
    return name, int(count)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) >= 1 << 16:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, which is 0 to 65535")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of workers")
    return int(text)


def _gpus(text: str) -> tuple[str, ...]:
    try:
        given = int(text) if text.isdecimal() else text.strip(",").split(",")
        return gpu_names(given, os.environ)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST_DRAIN_S:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds up to a day")
    return seconds


def _size(text: str) -> int:
    try:
        return size(text, "a memory limit")
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--port", type=_port, help="listen on this port of the loopback interface")
    where.add_argument("--socket", type=Path, help="listen on this unix socket")
    workers = parser.add_mutually_exclusive_group()
    workers.add_argument("--workers", type=_count, help="how many; default: one per processor")
    workers.add_argument(
        "--partition",
        type=_partition,
        action="append",
        metavar="NAME=NUMBER",
        help="a partition and its number of workers; the first one is the default",
    )
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--worker", metavar="COMMAND", help="command of any ArmoniK worker")
    kind.add_argument(
        "--memory-limit",
        type=_size,
        metavar="SIZE",
        help="what each task may use, such as 500M or 2G; default: no limit",
    )
    parser.add_argument(
        "--drain",
        type=_seconds,
        default=0.0,
        metavar="SECONDS",
        help="how long running tasks may go on after a signal; default: 0",
    )
    parser.add_argument(
        "--grace",
        type=_seconds,
        default=GRACE_S,
        metavar="SECONDS",
        help=f"from asking a task to end until it is killed; default: {GRACE_S:g}",
    )
    parser.add_argument(
        "--gpus",
        type=_gpus,
        default=(),
        metavar="NUMBER|NAMES",
        help="one GPU for each worker: how many, or which, such as 0,2 (2, for GPU 2 alone)",
    )
    parser.add_argument("--folder", type=Path, help="where to make the private folder")
    parser.add_argument(
        "--stop",
        action="store_true",
        help="end the cluster that Pymonik(keep=True) has started; its data stay",
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="FOLDER",
        help="keep sessions, results and tasks there: a cluster that is started with the same "
        "folder goes on with them, however this one ends",
    )
