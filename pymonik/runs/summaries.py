"""Many tasks in few rows: by run, by outcome. Pure; for commands and pages."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pymonik.runs.rows import FAILED, RUNNING, TaskRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pymonik.runs.partly_failed import PartlyFailed


@dataclass(slots=True)
class RunSummary:
    """The tasks of one run: the label and the function are the same, and the session.

    A task may hold many calls: `failed_calls` are those that failed in tasks which ended well.

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
    failed_calls: int = 0

    @property
    def key(self) -> tuple[str, str, str]:
        """Session, label and function."""
        return self.session_id, self.label, self.function

    def add(self, row: TaskRow) -> None:
        """Count one more task."""
        count = outcome(row.status)
        setattr(self, count, getattr(self, count) + 1)
        if row.created is not None:
            self.started = min(row.created, self.started or row.created)


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


def by_run(
    rows: Iterable[TaskRow], partly: Mapping[str, PartlyFailed] | None = None
) -> list[RunSummary]:
    """The runs of these tasks, those that started last first.

    Args:
        rows: The tasks.
        partly: What is told of tasks some calls of which failed, by id.
    """
    runs: dict[tuple[str, str, str], RunSummary] = {}
    for row in rows:
        key = (row.session_id, row.run, row.function)
        if key not in runs:
            runs[key] = RunSummary(row.session_id, row.run or row.function, row.function)
        runs[key].add(row)
        if partly and (told := partly.get(row.task_id)) is not None:
            runs[key].failed_calls += told.failed
    return sorted(runs.values(), key=lambda run: run.started or 0.0, reverse=True)


def counts(statuses: Counter[str] | dict[str, int]) -> dict[str, int]:
    """Numbers of tasks by status as numbers by `outcome`, without zeros."""
    found: Counter[str] = Counter()
    for status, number in statuses.items():
        found[outcome(status)] += number
    order = ("ok", "failed", "cancelled", "retried", "running", "pending")
    return {name: found[name] for name in order if found[name]}
