"""`pymonik cluster`: an embedded cluster in the foreground."""

from __future__ import annotations

import argparse
import os
import queue
import shlex
import signal
import sys
import threading
from pathlib import Path

from pymonik.cluster import memory
from pymonik.cluster.folder import private_folder
from pymonik.cluster.host import ClusterConfig, EmbeddedCluster
from pymonik.cluster.local import DEFAULT_PARTITION

STOP_TIMEOUT_S = 15.0
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def run(options: argparse.Namespace) -> int:
    """Serve until a signal comes; gives the exit code."""
    memory.set_up()
    stopping = threading.Event()
    _set_at_signals(stopping)
    config = ClusterConfig(
        partitions=_partitions(options),
        worker=shlex.split(options.worker) if options.worker else None,
        port=options.port,
        socket=options.socket,
        inherit_output=True,
        memory_limit=options.memory_limit,
    )
    with private_folder(options.folder) as folder:
        cluster = EmbeddedCluster(config, folder)
        try:
            cluster.start(stopping)
            if not stopping.is_set():
                _say(f"listening on {cluster.endpoint} ({_shown(config)}); Ctrl-C stops it")
            stopping.wait()
        finally:
            timer = threading.Timer(STOP_TIMEOUT_S, os._exit, (1,))
            timer.daemon = True
            timer.start()
            cluster.stop()
            timer.cancel()
    _say("stopped")
    return 0


def _set_at_signals(event: threading.Event) -> None:
    """Set it from a thread: a handler interrupts the main one, which may hold the event's lock."""
    arrived: queue.SimpleQueue[None] = queue.SimpleQueue()  # a handler may put

    def wait() -> None:
        arrived.get()
        event.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: arrived.put(None))
    threading.Thread(target=wait, name="signals", daemon=True).start()


def _partitions(options: argparse.Namespace) -> dict[str, int]:
    if options.partition:
        return dict(options.partition)
    count = options.workers if options.workers is not None else os.cpu_count() or 1
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


def _size(text: str) -> int:
    number, unit = (text[:-1], text[-1].upper()) if text[-1:].isalpha() else (text, "")
    if unit not in _UNITS or not number.isdecimal() or not int(number):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no size; write 500M, 2G or a number of bytes"
        )
    return int(number) * _UNITS[unit]


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
    parser.add_argument("--folder", type=Path, help="where to make the private folder")
