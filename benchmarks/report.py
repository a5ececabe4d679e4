"""What the trials found: as values, as JSON, as a table."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psutil

from benchmarks.peer import PEERS
from benchmarks.workloads import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.run import Trial


@dataclass(frozen=True, slots=True)
class Measure:
    """One metric of one workload on one peer, over all rounds."""

    peer: str
    workload: str
    metric: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)


def measures(trials: Iterable[Trial]) -> list[Measure]:
    """The values of all rounds together, in the order in which they were first met."""
    found: dict[tuple[str, str, str], list[float]] = {}
    for trial in trials:
        for metric, value in trial.metrics.items():
            found.setdefault((trial.peer, trial.workload, metric), []).append(value)
    return [Measure(*key, tuple(values)) for key, values in found.items()]


def endings(trials: Iterable[Trial]) -> dict[tuple[str, str], str]:
    """Why (peer, workload) was not measured, or not wholly."""
    return {(trial.peer, trial.workload): trial.end for trial in trials if trial.end}


def as_json(
    trials: Sequence[Trial], peers: Sequence[str], missing: Sequence[str], scale: str
) -> dict[str, Any]:
    """All that is needed to draw, or to compare with another run."""
    return {
        "made": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "scale": scale,
        "machine": machine(),
        "peers": {peer: PEERS[peer].version or platform.python_version() for peer in peers},
        "not installed": list(missing),
        "not measured": [
            {"peer": peer, "workload": workload, "why": why}
            for (peer, workload), why in endings(trials).items()
        ],
        "measures": [
            {
                "peer": one.peer,
                "workload": one.workload,
                "metric": one.metric,
                "unit": WORKLOADS[one.workload].unit,
                "median": one.median,
                "values": list(one.values),
            }
            for one in measures(trials)
        ],
    }


def machine() -> dict[str, Any]:
    """Where it ran, as far as it matters to the numbers."""
    return {
        "processors": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "grpcio": importlib.metadata.version("grpcio"),
        "load_at_end": round(os.getloadavg()[0], 1),
    }


def table(trials: Sequence[Trial], peers: Sequence[str]) -> str:
    """A Markdown table: a row for each metric, a column for each peer; median (least-most)."""
    found = {(m.peer, m.workload, m.metric): m for m in measures(trials)}
    why = endings(trials)
    rows = [["", *(PEERS[peer].label for peer in peers)]]
    for workload in dict.fromkeys(trial.workload for trial in trials):
        metrics = list(dict.fromkeys(m.metric for m in found.values() if m.workload == workload))
        for metric in metrics or ["-"]:
            cells = [
                _cell(found.get((peer, workload, metric)), why.get((peer, workload), ""))
                for peer in peers
            ]
            rows.append([_row_name(workload, metric), *cells])
    return _markdown(rows)


def _row_name(workload: str, metric: str) -> str:
    known = WORKLOADS[workload]
    return f"{known.title}: {metric} ({known.unit})"


def _cell(measure: Measure | None, why: str) -> str:
    if measure is None:
        return _short(why)
    if len(measure.values) == 1:
        return number(measure.median)
    spread = f"{number(min(measure.values))}-{number(max(measure.values))}"
    return f"{number(measure.median)} ({spread})"


def _short(why: str) -> str:
    """A word or two for a cell; the rest is in the JSON."""
    if why.startswith("unsupported"):
        return why.removeprefix("unsupported: ")
    return why.split(":")[0].replace(" of ", " ") or "-"


def number(value: float) -> str:
    """Three digits that matter."""
    if abs(value) >= 1000:
        return f"{round(value, -2 if value >= 100_000 else -1):,.0f}".replace(",", " ")
    return f"{value:.3g}"


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
