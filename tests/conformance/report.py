"""Outcomes of scenarios: on the console, as JSON, compared with another run."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Outcome:
    """What a scenario gave; ``error`` is why it failed or was skipped."""

    number: int
    title: str
    group: str
    tags: list[str]
    status: str
    observations: list[dict[str, Any]] = field(default_factory=list)
    skipped_parts: list[str] = field(default_factory=list)
    duration_s: float = 0.0
    error: str = ""

    def lines(self, *, verbose: bool) -> Iterator[str]:
        """The outcome for a person."""
        parts = f" (without: {' '.join(self.skipped_parts)})" if self.skipped_parts else ""
        yield f"{self.status:4} {self.number:3} {self.title}{parts} [{self.duration_s:.1f} s]"
        for line in self.error.splitlines():
            yield f"         {line}"
        if verbose:
            for note in self.observations:
                yield f"         . {note['name']}: {json.dumps(note['observed'])}"


def summary(outcomes: Iterable[Outcome]) -> str:
    """Counts by status, for each group and in all."""
    groups: dict[str, Counter[str]] = {}
    for outcome in outcomes:
        groups.setdefault(outcome.group, Counter())[outcome.status] += 1
    groups["all"] = sum(groups.values(), Counter())
    rows = [f"{'':14}{'PASS':>6}{'FAIL':>6}{'SKIP':>6}"]
    rows += [
        f"{name:14}" + "".join(f"{counts[status]:6}" for status in ("PASS", "FAIL", "SKIP"))
        for name, counts in groups.items()
    ]
    return "\n".join(rows)


def write(path: Path, target: dict[str, Any], outcomes: Iterable[Outcome]) -> None:
    """Write the run as JSON: ``target`` says against what it ran."""
    document = {"target": target, "scenarios": [asdict(outcome) for outcome in outcomes]}
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def differences(one: Path, two: Path) -> list[str]:
    """What differs between two runs, apart from durations."""
    runs = []
    for path in (one, two):
        scenarios = json.loads(path.read_text())["scenarios"]
        runs.append({scenario["number"]: scenario for scenario in scenarios})
    lines = []
    for number in sorted(runs[0].keys() | runs[1].keys()):
        before, after = (_facts(run.get(number)) for run in runs)
        for name in [*before, *(name for name in after if name not in before)]:
            left, right = before.get(name, "absent"), after.get(name, "absent")
            if left != right:
                lines.append(f"{number:3} {name}\n      - {left}\n      + {right}")
    return lines


def _facts(scenario: dict[str, Any] | None) -> dict[str, str]:
    """Status and observations of a scenario; a repeated name gets a number."""
    if scenario is None:
        return {}
    facts = {"status": scenario["status"]}
    seen: Counter[str] = Counter()
    for note in scenario["observations"]:
        name = note["name"]
        seen[name] += 1
        key = name if seen[name] == 1 else f"{name} #{seen[name]}"
        facts[key] = json.dumps(note["observed"], ensure_ascii=False)
    return facts
