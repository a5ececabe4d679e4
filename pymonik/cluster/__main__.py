"""The process of an embedded cluster: ``python -m pymonik.cluster``, started by `LocalCluster`.

Writes one line of JSON on its standard output: where it listens, or why it does not. Ends at
SIGTERM, or when its standard input ends: whoever started it is gone, by `kill -9` or otherwise.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from pymonik.cluster import freed_memory
from pymonik.cluster.executors import Executors
from pymonik.cluster.folder import private_folder
from pymonik.cluster.shape import ClusterConfig, check_room
from pymonik.errors import PymonikError
from pymonik.launch import orphans
from pymonik.launch.stopping import Stopping, end_by_force

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymonik.cluster.host import EmbeddedCluster

logger = logging.getLogger(__name__)

STOP_TIMEOUT_S = 15.0  # seconds of an orderly end; then `end_by_force`


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until told to stop; the exit code is 1 if it could not start."""
    options = _parser().parse_args(arguments)
    freed_memory.set_up()  # before any other thread: one that has an arena of its own keeps it
    orphans.adopt()  # what tasks leave behind becomes a child of this process, and is ended with it
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever started us
    logging.basicConfig(format="pymonik cluster: %(levelname)s %(message)s", level=logging.WARNING)
    try:
        config = _config(options)
        check_room(config)
        stopping = Stopping(signals=(signal.SIGTERM,), lifeline=sys.stdin.fileno())
        with ExitStack() as started:
            executors = None

            def start(folder: Path) -> None:
                nonlocal executors
                os.chdir(folder)  # ours, so that it cannot vanish
                if config.worker is None:
                    executors = Executors(config, folder)
                    started.callback(executors.pool.close)
                    executors.start()

            # Executors start first: the tables, the services and gRPC are loaded meanwhile.
            folder = started.enter_context(private_folder(options.folder, start))
            from pymonik.cluster.host import EmbeddedCluster

            cluster = EmbeddedCluster(config, folder, executors)
            _run(cluster, folder, stopping, options.stderr)
    except (PymonikError, OSError) as error:
        _tell({"error": str(error)}, options.stderr)
        return 1
    return 0


def _config(options: argparse.Namespace) -> ClusterConfig:
    return ClusterConfig(
        partitions=json.loads(options.partitions),
        worker=json.loads(options.worker) if options.worker else None,
        port=options.port,
        memory_limit=options.memory_limit,
        grace_s=options.grace,
        current_folder=options.current_folder,
        is_isolated=options.isolated,
        gpus=json.loads(options.gpus),
    )


def _run(cluster: EmbeddedCluster, folder: Path, stopping: Stopping, stderr: int) -> None:
    answers = os.dup(sys.stdout.fileno())  # of orders; what is printed goes elsewhere
    try:
        cluster.start(stopping.requested)
        gc.enable()  # see `ENABLE_COLLECTION` of `pymonik.launch.entry`
        if not stopping.requested.is_set():
            _tell(
                {
                    "endpoint": cluster.endpoint,
                    "direct_socket": str(cluster.direct_socket),
                    "storage_folder": str(cluster.storage_folder),
                    "folder": str(folder),
                    "pid": os.getpid(),
                },
                stderr,
            )
        while (order := stopping.orders.get()) is not None:
            _, timeout_s = order.split()  # "drain SECONDS" is the only one
            # A signal ends the draining: whoever sends it need not know of the order.
            running = cluster.drain(float(timeout_s), stopping.requested)
            os.write(answers, json.dumps({"running": running}).encode() + b"\n")
    finally:
        # Armed before `stop`, which waits for threads and processes: whatever hangs there, the
        # kernel ends this process.
        end_by_force(STOP_TIMEOUT_S)
        cluster.stop()


def _tell(message: dict[str, object], stderr: int) -> None:
    """Write the one line, then leave both pipes: what is printed later goes to standard error."""
    sys.stderr.flush()
    os.dup2(stderr, sys.stderr.fileno())
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()
    os.dup2(stderr, sys.stdout.fileno())
    os.set_inheritable(stderr, False)  # noqa: FBT003 - positional only


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pymonik.cluster", description=__doc__)
    parser.add_argument("--partitions", required=True, help="JSON: number of workers by partition")
    parser.add_argument("--worker", help="JSON: command of a foreign worker, as a list")
    parser.add_argument("--port", type=int, help="loopback TCP instead of a private unix socket")
    parser.add_argument("--memory-limit", type=int, help="bytes that a task may use")
    parser.add_argument("--grace", type=float, required=True, help="seconds, see LocalCluster")
    parser.add_argument("--current-folder", help="where tasks run")
    parser.add_argument("--gpus", default="[]", help="JSON: names, one for each worker")
    parser.add_argument("--isolated", action="store_true", help="see LocalCluster")
    parser.add_argument("--stderr", type=int, default=2, help="where to write once it runs")
    parser.add_argument("--folder", type=Path, help="where to make the private folder")
    return parser


if __name__ == "__main__":
    sys.exit(main())
