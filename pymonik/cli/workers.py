"""`pymonik workers`: the workers of a cluster, with what they have and what they do."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import msgspec

from pymonik.cli import connection
from pymonik.cli.printing import age, in_bytes, print_json, show
from pymonik.runs.workers import workers

if TYPE_CHECKING:
    import argparse
    from datetime import datetime

    from pymonik.runs.workers import Worker


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    connection.add_arguments(parser)
    parser.add_argument("partition", nargs="?", default="", help="only those of this partition")


def run(options: argparse.Namespace) -> int:
    """Print them."""
    with connection.listing(options) as lists:
        found = workers(lists, time.time())
    shown = [one for one in found if options.partition in ("", one.partition)]
    if options.json:
        print_json([_as_object(one) for one in shown])
    else:
        show([_as_row(one) for one in shown], as_json=False, none="no worker has shown itself")
    return 0


def _as_object(worker: Worker) -> dict[str, object]:
    """For programs: instants in ISO 8601, sizes in bytes."""
    return {
        **asdict(worker),
        "gpus": [msgspec.to_builtins(gpu) for gpu in worker.gpus],
        "connected": worker.connected and worker.connected.isoformat(),
        "last_seen": worker.last_seen and worker.last_seen.isoformat(),
    }


def _as_row(worker: Worker) -> dict[str, object]:
    return {
        "host": worker.host,
        "partition": worker.partition,
        "state": worker.state,
        "running": worker.running,
        "done": worker.done,
        "failed": worker.failed,
        "cpus": worker.cpus,
        "memory": None if worker.memory is None else in_bytes(worker.memory),
        "gpus": [gpu.name for gpu in worker.gpus],
        "python": worker.python,
        "pymonik": worker.pymonik,
        "seen_s_ago": _age(worker.last_seen),
    }


def _age(instant: datetime | None) -> float | None:
    return age(None if instant is None else instant.timestamp())
