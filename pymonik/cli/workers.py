"""`pymonik workers`: workers that have or had tasks, with what they do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymonik.cli import connection
from pymonik.cli.printing import age, show
from pymonik.runs.rows import RUNNING
from pymonik.runs.summaries import by_worker

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    connection.add_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Print them.

    ArmoniK has no list of workers: those are shown that the latest tasks name.
    """
    with connection.listing(options) as lists:
        tasks = {row.task_id: row for row in lists.tasks(acquired_last=True)}
        tasks |= {row.task_id: row for row in lists.tasks(statuses=sorted(RUNNING))}
    rows = [
        {
            "worker": worker.worker,
            "partition": worker.partition,
            "running": worker.running,
            "ended": worker.ended,
            "failed": worker.failed,
            "seen_s_ago": age(worker.seen),
        }
        for worker in by_worker(tasks.values())
    ]
    show(rows, as_json=options.json, none="no worker has had a task")
    return 0
