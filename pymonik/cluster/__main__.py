"""The process of an embedded cluster: ``python -m pymonik.cluster``, started by `LocalCluster`.

Writes one line of JSON on its standard output: where it listens, or why it does not. Ends at
SIGTERM, or when its standard input ends: whoever started it is gone, by `kill -9` or otherwise.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from pymonik.cluster import memory
from pymonik.cluster.folder import private_folder
from pymonik.cluster.host import ClusterConfig, EmbeddedCluster
from pymonik.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

logger = logging.getLogger(__name__)

STOP_TIMEOUT_S = 15.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until told to stop; the exit code is 1 if it could not start."""
    memory.set_up()
    logging.basicConfig(format="pymonik cluster: %(levelname)s %(message)s", level=logging.WARNING)
    options = _parser().parse_args(arguments)
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever started us
    threading.Thread(target=_watch, args=(stopping,), name="lifeline", daemon=True).start()
    config = ClusterConfig(
        partitions=json.loads(options.partitions),
        worker=json.loads(options.worker) if options.worker else None,
        port=options.port,
        memory_limit=options.memory_limit,
    )
    try:
        with private_folder(options.folder) as folder:
            _run(EmbeddedCluster(config, folder), folder, stopping)
    except ConfigError as error:
        _tell({"error": str(error)})
        return 1
    return 0


def _run(cluster: EmbeddedCluster, folder: Path, stopping: threading.Event) -> None:
    try:
        cluster.start(stopping)
        if not stopping.is_set():
            _tell(
                {
                    "endpoint": cluster.endpoint,
                    "direct_socket": str(cluster.direct_socket),
                    "storage_folder": str(cluster.storage_folder),
                    "folder": str(folder),
                    "pid": os.getpid(),
                }
            )
        stopping.wait()
    finally:
        end_by_force(STOP_TIMEOUT_S)
        cluster.stop()


def end_by_force(after_s: float) -> None:
    """End this process if it still runs after this time: nothing may be left behind."""
    timer = threading.Timer(after_s, os._exit, (1,))
    timer.daemon = True
    timer.start()


def _tell(message: dict[str, object]) -> None:
    """Write the one line, then leave the pipe: what is printed later goes to standard error."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())


def _watch(stopping: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    stopping.set()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pymonik.cluster", description=__doc__)
    parser.add_argument("--partitions", required=True, help="JSON: number of workers by partition")
    parser.add_argument("--worker", help="JSON: command of a foreign worker, as a list")
    parser.add_argument("--port", type=int, help="loopback TCP instead of a private unix socket")
    parser.add_argument("--memory-limit", type=int, help="bytes that a task may use")
    parser.add_argument("--folder", type=Path, help="where to make the private folder")
    return parser


if __name__ == "__main__":
    sys.exit(main())
