"""What the page is told, as values that JSON has."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pymonik.runs.rows import LIVE
from pymonik.runs.snapshot_lines import line
from pymonik.runs.summaries import outcome
from pymonik.runs.tally import Mark
from pymonik.runs.tidying import client_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pymonik.page.bars import Lane
    from pymonik.page.run_views import RunView
    from pymonik.runs.rows import PartitionRow, SessionRow, TaskRow
    from pymonik.runs.tally import Snapshot
    from pymonik.runs.workers import Worker

# Letters and words of marks as the script of the page knows them.
MARKS: Final = {
    Mark.PENDING: "p",
    Mark.RUNNING: "r",
    Mark.OK: "o",
    Mark.FAILED: "f",
    Mark.CANCELLED: "c",
}
WORDS: Final = {
    Mark.PENDING: "pending",
    Mark.RUNNING: "running",
    Mark.OK: "ok",
    Mark.FAILED: "failed",
    Mark.CANCELLED: "cancelled",
}
ENDED: Final = frozenset({"CANCELLED", "CLOSED", "PURGED"})  # statuses of sessions
# A byte and its repetitions; see `marks`.
_SAME: Final = re.compile(rb"(.)\1*", re.DOTALL)
_BINS: Final = 32  # of the histogram
_MOST_ERRORS: Final = 50  # groups of errors; the largest ones, as a tally orders them


def run(view: RunView, snapshot: Snapshot) -> dict[str, Any]:
    """A run in the list of runs."""
    return {
        "key": view.key,
        "unit": view.unit,
        "note": view.note,
        "may_rerun": view.may_rerun,
        "function": view.function,
        "label": view.label,
        "session": view.session_id,
        "started": view.started,
        "elapsed": max(0.0, snapshot.elapsed_s),
        "total": snapshot.total,
        "counts": {WORDS[mark]: snapshot.count(mark) for mark in MARKS},
        "rate": snapshot.rate,
        "eta": snapshot.eta_s,
        "median": snapshot.median_s,
        "slowest": snapshot.slowest,
        "peak": snapshot.peak_bytes,
        "line": line(snapshot),
        "why": snapshot.why,
        "errors": [
            {"kind": one.fault.kind, "text": one.fault.text, "count": one.count, "items": one.items}
            for one in snapshot.errors[:_MOST_ERRORS]
        ],
    }


def marks(snapshot: Snapshot) -> str:
    """How far each item is: ``o980f1o19`` are 980 that are ok, one that failed, 19 ok.

    Items end about in order, so this is short also of a million of them.
    """
    return "".join(
        f"{MARKS[Mark(same.group()[0])]}{len(same.group())}"
        for same in _SAME.finditer(snapshot.marks)
    )


def histogram(seconds: Sequence[float]) -> dict[str, Any]:
    """How many calls took how long, in bins that grow by a constant factor."""
    # A call of no time has no logarithm: a microsecond stands for it.
    times = [max(one, 1e-6) for one in seconds]
    if not times:
        return {"from": 0, "to": 0, "bins": []}
    low, high = math.log(min(times)), math.log(max(times))
    width = (high - low) / _BINS or 1.0
    bins = [0] * _BINS
    for one in times:
        bins[min(_BINS - 1, int((math.log(one) - low) / width))] += 1
    return {"from": min(times), "to": max(times), "bins": bins}


def timeline(lanes: Sequence[Lane]) -> list[dict[str, Any]]:
    """Bars by worker."""
    return [
        {
            "worker": lane.worker,
            "busy": round(lane.busy_s, 3),
            "bars": [
                [round(bar.start, 3), round(bar.end, 3), bar.outcome, bar.tasks, bar.label]
                for bar in lane.bars
            ],
        }
        for lane in lanes
    ]


def worker(one: Worker) -> dict[str, Any]:
    """A worker in the list of workers."""
    return {
        "host": one.host,
        "partition": one.partition,
        "state": one.state,
        "cpus": one.cpus,
        "memory": one.memory,
        "gpus": [msgspec.to_builtins(gpu) for gpu in one.gpus],
        "python": one.python,
        "pymonik": one.pymonik,
        "image": one.image,
        "connected": one.connected and one.connected.timestamp(),
        "last_seen": one.last_seen and one.last_seen.timestamp(),
        "running": one.running,
        "done": one.done,
        "failed": one.failed,
        "functions": dict(one.functions),
    }


def partitions(rows: Iterable[PartitionRow], tasks: Iterable[TaskRow]) -> list[dict[str, Any]]:
    """Partitions, with what waits and runs in them of these tasks."""
    live = Counter((row.partition, outcome(row.status)) for row in tasks if row.status in LIVE)
    return [
        {
            "name": row.name,
            "pods_max": row.pods_max,
            "pods_reserved": row.pods_reserved,
            "running": live[row.name, "running"],
            "pending": live[row.name, "pending"],
        }
        for row in rows
    ]


def session(row: SessionRow) -> dict[str, Any]:
    """A session in the list of sessions."""
    return {
        "session": row.session_id,
        "name": row.name,
        "status": row.status.lower(),
        "client": client_of(row).partition(" ")[0],
        "created": row.created,
        "has_ended": row.status in ENDED,
    }


def task(row: TaskRow) -> dict[str, Any]:
    """A task in the history of a worker, and among attempts."""
    return {
        "task": row.task_id,
        "function": row.function,
        "label": row.run,
        "status": outcome(row.status),
        "worker": row.worker,
        "attempt": row.attempt,
        "started": row.started,
        "seconds": None
        if row.started is None or row.ended is None
        else max(0.0, row.ended - row.started),
        "error": row.error,
    }
