"""Many tasks in few rows: by run, by worker. Pure; for commands and pages."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pymonik.runs.rows import FAILED, RUNNING, TaskRow

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(slots=True)
class RunSummary:
    """The tasks of one run: the label and the function are the same, and the session.

    A task may hold many calls; a call that failed in a task of several does not show here.

    Attributes:
        ok: Tasks that ended well, like the numbers that follow.
        retried: Attempts after which another one came.
        started: When its first task was created, in seconds since the epoch.
    """

    session_id: str
    label: str
    function: str
    ok: int = 0
    failed: int = 0
    cancelled: int = 0
    running: int = 0
    pending: int = 0
    retried: int = 0
    started: float | None = None

    def add(self, row: TaskRow) -> None:
        """Count one more task."""
        count = outcome(row.status)
        setattr(self, count, getattr(self, count) + 1)
        if row.created is not None:
            self.started = min(row.created, self.started or row.created)


@dataclass(slots=True)
class WorkerSummary:
    """What a worker does and did, as far as the tasks that were listed tell.

    Attributes:
        running: Functions of its tasks that have not ended.
        seen: When it last took or ended a task, in seconds since the epoch.
    """

    worker: str
    partition: str
    running: list[str] = field(default_factory=list)
    ended: int = 0
    failed: int = 0
    seen: float | None = None


def outcome(status: str) -> str:
    """What a status means to a person: ok, failed, cancelled, retried, running or pending."""
    if status == "COMPLETED":
        return "ok"
    if status in FAILED:
        return "failed"
    if status in ("CANCELLED", "CANCELLING"):
        return "cancelled"
    if status == "RETRIED":
        return "retried"
    return "running" if status in RUNNING else "pending"


def by_run(rows: Iterable[TaskRow]) -> list[RunSummary]:
    """The runs of these tasks, those that started last first."""
    runs: dict[tuple[str, str, str], RunSummary] = {}
    for row in rows:
        key = (row.session_id, row.run, row.function)
        if key not in runs:
            runs[key] = RunSummary(row.session_id, row.run or row.function, row.function)
        runs[key].add(row)
    return sorted(runs.values(), key=lambda run: run.started or 0.0, reverse=True)


def by_worker(rows: Iterable[TaskRow]) -> list[WorkerSummary]:
    """The workers that have or had these tasks, by name."""
    workers: dict[tuple[str, str], WorkerSummary] = {}
    for row in rows:
        if not row.worker:
            continue
        key = (row.partition, row.worker)
        worker = workers.setdefault(key, WorkerSummary(row.worker, row.partition))
        if row.status in RUNNING:
            worker.running.append(row.function or row.task_id)
        else:
            worker.ended += 1
            worker.failed += row.status in FAILED
        instants = [one for one in (worker.seen, row.acquired, row.ended) if one is not None]
        worker.seen = max(instants, default=None)
    return [workers[key] for key in sorted(workers)]


def counts(statuses: Counter[str] | dict[str, int]) -> dict[str, int]:
    """Numbers of tasks by status as numbers by `outcome`, without zeros."""
    found: Counter[str] = Counter()
    for status, number in statuses.items():
        found[outcome(status)] += number
    order = ("ok", "failed", "cancelled", "retried", "running", "pending")
    return {name: found[name] for name in order if found[name]}
