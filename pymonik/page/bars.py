"""Tasks as bars along time, a lane for each worker; never more bars than can be told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pymonik.runs.summaries import outcome

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from pymonik.runs.rows import TaskRow

_STEPS: Final = 600  # of the whole span; shorter gaps between two bars are not seen
_MOST_LANES: Final = 64  # workers that are drawn


class Bar(NamedTuple):
    """One task of a worker, or several that follow each other closely.

    Attributes:
        start: In seconds since the epoch, like `end`.
        outcome: The worst of its tasks.
        tasks: How many.
        label: What they run.
    """

    start: float
    end: float
    outcome: str
    tasks: int
    label: str


# The outcome that a bar of several tasks shows: a failure must not be hidden by its neighbours.
_WORST_FIRST: Final = ("failed", "retried", "cancelled", "running", "ok", "pending")


class Lane(NamedTuple):
    """What a worker did.

    Attributes:
        busy_s: Seconds in which it had a task.
    """

    worker: str
    busy_s: float
    bars: list[Bar]


def lanes(rows: Iterable[TaskRow], now: float, partly_failed: Collection[str] = ()) -> list[Lane]:
    """Bars by worker, those that began first before the others; at most 64 workers.

    Args:
        rows: Of tasks.
        now: Seconds since the epoch.
        partly_failed: Ids of tasks that ended well although calls of theirs failed.
    """
    by_worker: dict[str, list[Bar]] = {}
    for row in rows:
        if row.worker and row.started is not None:
            end = row.ended if row.ended is not None else now
            what = row.function or row.task_id
            one = Bar(row.started, max(end, row.started), _outcome(row, partly_failed), 1, what)
            by_worker.setdefault(row.worker, []).append(one)
    if not by_worker:
        return []
    first = min(bar.start for bars in by_worker.values() for bar in bars)
    last = max(bar.end for bars in by_worker.values() for bar in bars)
    step = (last - first) / _STEPS
    chosen = sorted(by_worker)[:_MOST_LANES]
    return [
        Lane(
            worker,
            sum(bar.end - bar.start for bar in by_worker[worker]),
            list(merged(sorted(by_worker[worker]), step)),
        )
        for worker in chosen
    ]


def _outcome(row: TaskRow, partly_failed: Collection[str]) -> str:
    return "failed" if row.task_id in partly_failed else outcome(row.status)


def merged(bars: list[Bar], step: float) -> Iterator[Bar]:
    """Bars, sorted; those together that end within a step of the start of the first of them."""
    open_bar: Bar | None = None
    for bar in bars:
        if open_bar is None:
            open_bar = bar
        # The second condition keeps long bars apart, which can be told from each other without a
        # gap.
        elif bar.start - open_bar.end < step and bar.end - open_bar.start < 2 * step:
            open_bar = _together(open_bar, bar)
        else:
            yield open_bar
            open_bar = bar
    if open_bar is not None:
        yield open_bar


def _together(one: Bar, other: Bar) -> Bar:
    worst = min(one.outcome, other.outcome, key=_WORST_FIRST.index)
    label = one.label if one.label == other.label else "several functions"
    return Bar(one.start, max(one.end, other.end), worst, one.tasks + other.tasks, label)
