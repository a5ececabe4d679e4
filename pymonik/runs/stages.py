"""Where the time of calls went: `stages`, from time stamps of the cluster and what was measured.

::

    map began ── packed ──► created ── waiting ──► submitted ── queued ──► acquired
        ── inputs ──► its code began ── user ──► its code ended ── others, stored ──► ended
        ── told ──► this program knows                              total: from end to end

Stamps come from the clocks of the control plane, of workers and of this machine. What lies between
two clocks is approximate; it is never negative.
"""

from __future__ import annotations

from statistics import mean
from typing import TYPE_CHECKING, Any, Final

from pymonik.errors import UsageError
from pymonik.runs.figures import Measured, measured, read_heads
from pymonik.runs.watch import Listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pymonik.runs.rows import TaskRow
    from pymonik.session.result import ResultState

STAGES: Final = (
    "packed", "waiting", "retried", "queued", "inputs", "user", "others", "stored", "told", "total",
)  # fmt: skip
_LISTED_BY_ID: Final = 500  # tasks; of more, those of the session are listed
_MOST_TASKS: Final = 1_000_000  # rows: all of a session, since each call has a stage
_ALLOWED_S: Final = 0.001  # seconds by which stamps of one clock may be rounded
PERCENTILES: Final = (50.0, 90.0, 99.0)


class Stages:
    """Seconds of each stage, for each call.

    Attributes:
        rows: A dict for each call: ``item``, the stages (``None`` where nobody knows), ``attempt``,
            ``worker``, and ``approximate``: whether two clocks have contradicted each other.
    """

    def __init__(self, rows: Sequence[dict[str, Any]]) -> None:
        self.rows = list(rows)

    def percentile(self, stage: str, percent: float) -> float | None:
        """Seconds of a stage that so many percent of the calls do not exceed.

        Args:
            stage: One of `STAGES`.
            percent: From 0 to 100.

        Raises:
            UsageError: There is no such stage.
        """
        if stage not in STAGES:
            raise UsageError(f"there is no stage {stage!r} (there are {', '.join(STAGES)})")
        values = sorted(self._known(stage))
        if not values:
            return None
        place = (len(values) - 1) * percent / 100
        # Between two values the percentile is interpolated, as numpy does it by default.
        low = int(place)
        high = min(low + 1, len(values) - 1)
        return values[low] + (values[high] - values[low]) * (place - low)

    def describe(self) -> dict[str, dict[str, float]]:
        """For each stage: count, mean, min, 50th, 90th and 99th percentile, max."""
        return {stage: self._described(stage) for stage in STAGES if self._known(stage)}

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame` with a row for each call.

        Raises:
            UsageError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise UsageError("to_pandas() needs pandas; `rows` has dicts") from error
        columns = ["item", *STAGES, "attempt", "worker", "approximate"]
        return pd.DataFrame(self.rows, columns=columns)

    def _known(self, stage: str) -> list[float]:
        return [row[stage] for row in self.rows if row[stage] is not None]

    def _described(self, stage: str) -> dict[str, float]:
        values = self._known(stage)
        found = {"count": float(len(values)), "mean": mean(values), "min": min(values)}
        for percent in PERCENTILES:
            found[f"p{percent:.0f}"] = self.percentile(stage, percent) or 0.0
        return {**found, "max": max(values)}

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        lines = [f"{'':9}{'mean':>10}{'p50':>10}{'p90':>10}{'p99':>10}{'max':>10}  seconds"]
        lines += [
            f"{stage:9}"
            + "".join(f"{about[n]:10.3f}" for n in ("mean", "p50", "p90", "p99", "max"))
            for stage, about in self.describe().items()
        ]
        return "\n".join(lines)


def stages(states: Sequence[ResultState]) -> Stages:
    """The stages of these calls, as far as they are through them; asks the control plane.

    Raises:
        ControlPlaneError: It cannot be asked.
    """
    read_heads(states)
    rows = _rows(states)
    return Stages(
        [_row(place, state, rows.get(state.task_id, ())) for place, state in enumerate(states)]
    )


def _rows(states: Sequence[ResultState]) -> dict[str, list[TaskRow]]:
    """The attempts at the tasks of the calls, in order, by the id of the first."""
    found: dict[str, list[TaskRow]] = {}
    for session in {id(state.session): state.session for state in states}.values():
        if not isinstance(session, Listed):
            continue
        ids = dict.fromkeys(s.task_id for s in states if s.task_id and s.session is session)
        for row in _listed(session, list(ids)):
            if row.first_id in ids:
                found.setdefault(row.first_id, []).append(row)
    for attempts in found.values():
        attempts.sort(key=lambda row: row.attempt)
    return found


def _listed(session: Listed, ids: Sequence[str]) -> Iterable[TaskRow]:
    lists = session.lists
    if len(ids) <= _LISTED_BY_ID:
        return lists.tasks(first_ids=ids, limit=_MOST_TASKS) if ids else ()
    return lists.tasks(session_id=session.session_id, limit=_MOST_TASKS)


def _row(place: int, state: ResultState, attempts: Sequence[TaskRow]) -> dict[str, Any]:
    known = measured(state.head, state.item) if state.head is not None else Measured()
    row: dict[str, Any] = {"item": place if state.index < 0 else state.index}
    row |= dict.fromkeys(STAGES)
    spans = _spans(state, attempts, known)
    row |= {stage: None if span is None else max(0.0, span) for stage, span in spans.items()}
    row["attempt"] = len(attempts) or None
    row["worker"] = attempts[-1].worker or None if attempts else None
    row["approximate"] = any(s is not None and s < -_ALLOWED_S for s in spans.values())
    return row


def _spans(
    state: ResultState, attempts: Sequence[TaskRow], known: Measured
) -> Mapping[str, float | None]:
    began = state.run.started if state.run is not None else None
    told = state.ended_at or None
    spans: dict[str, float | None] = {"total": _between(began, told)}
    if not attempts:
        return {**spans, "user": known.seconds}
    first, last = attempts[0], attempts[-1]
    code_began = known.started if known.started is not None else last.started
    user = known.seconds if known.seconds is not None else _between(last.started, last.processed)
    in_task = _between(code_began, last.processed)
    return {
        **spans,
        "packed": _between(began, first.created),
        "waiting": _between(first.created, first.submitted),
        "retried": _between(first.created, last.created),
        "queued": _between(last.submitted, last.acquired),
        "inputs": _between(last.acquired, code_began),
        "user": user,
        "others": None if in_task is None or user is None else max(0.0, in_task - user),
        "stored": _between(last.processed, last.ended),
        "told": _between(last.ended, told),
    }


def _between(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else end - start
