"""`pymonik partitions`: partitions, and what waits and runs in them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pymonik.cli import connection
from pymonik.cli.printing import age, show
from pymonik.runs.rows import LIVE
from pymonik.runs.summaries import outcome

if TYPE_CHECKING:
    import argparse

    from pymonik.runs.rows import PartitionRow
    from pymonik.transport.listing import Listing

_MOST_TASKS = 10_000  # of those that have not ended; more are not counted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    connection.add_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Print them."""
    with connection.listing(options) as lists:
        partitions = lists.partitions()
        live = lists.tasks(statuses=LIVE, limit=_MOST_TASKS)
        counted = Counter((row.partition, outcome(row.status)) for row in live)
        rows = [_row(lists, partition, counted) for partition in partitions]
    show(rows, as_json=options.json, none="no partitions")
    return 0


def _row(
    lists: Listing, partition: PartitionRow, counted: Counter[tuple[str, str]]
) -> dict[str, object]:
    # One small request for each partition, of which there are few.
    last = lists.tasks(partition=partition.name, acquired_last=True, limit=1)
    return {
        "partition": partition.name,
        "pods_max": partition.pods_max,
        "pods_reserved": partition.pods_reserved,
        "running": counted[partition.name, "running"],
        "pending": counted[partition.name, "pending"],
        "last_task_taken_s_ago": age(last[0].acquired) if last else None,
    }
