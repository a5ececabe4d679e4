"""The scenarios: their numbers, titles and tags."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import tests.conformance as kit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.conformance.trial import Trial

TAGS = {
    "core": "texts and codes of ArmoniK.Core >= 0.40.0; skipped: error texts are not compared",
    "post": "behaviour introduced after ArmoniK.Core 0.40.1",
    "err": "provokes UNKNOWN errors, which the control plane counts before stopping itself",
    "aerr": "provokes errors which the agent counts before stopping itself",
    "div": "known backends differ: several answers are accepted",
    "Q": "needs a partition without agent (--empty-partition)",
    "slow": "takes much longer than the others, or moves much data",
}


@dataclass(frozen=True)
class Scenario:
    """One numbered scenario.

    Attributes:
        tags: Skipping one of them skips the scenario.
        parts: Skipping one of them skips only a part, see ``Trial.part``.
        alone: Never run beside others: it needs all the workers, or keeps them long.
    """

    number: int
    title: str
    group: str
    tags: frozenset[str]
    parts: frozenset[str]
    alone: bool
    run: Callable[[Trial], None]


_scenarios: dict[int, Scenario] = {}


def scenario(
    number: int, title: str, *, tags: str = "", parts: str = "", alone: bool = False
) -> Callable[[Callable[[Trial], None]], Callable[[Trial], None]]:
    """Register a function as a scenario; tags and parts are words separated by blanks."""

    def register(run: Callable[[Trial], None]) -> Callable[[Trial], None]:
        group = run.__module__.rpartition("scenarios_")[2]
        words = frozenset(tags.split()), frozenset(parts.split())
        unknown = (words[0] | words[1]) - TAGS.keys()
        if number in _scenarios or unknown:
            raise ValueError(f"scenario {number}: already there, or unknown tags {set(unknown)}")
        _scenarios[number] = Scenario(number, title, group, *words, alone, run)
        return run

    return register


def all_scenarios() -> list[Scenario]:
    """Every scenario of the modules ``scenarios_*``, by number."""
    for module in pkgutil.iter_modules(kit.__path__):
        if module.name.startswith("scenarios_"):
            importlib.import_module(f"{kit.__name__}.{module.name}")
    return [_scenarios[number] for number in sorted(_scenarios)]


def chosen(selection: str | None, scenarios: Iterable[Scenario]) -> list[Scenario]:
    """Scenarios selected by number, range or group: ``12,40-58,events``."""
    if not selection:
        return list(scenarios)
    ranges: list[tuple[int, int]] = []
    groups: set[str] = set()
    for word in selection.split(","):
        low, _, high = word.strip().partition("-")
        if low.isdigit():
            ranges.append((int(low), int(high or low)))
        else:
            groups.add(low)
    return [
        one
        for one in scenarios
        if one.group in groups or any(low <= one.number <= high for low, high in ranges)
    ]
