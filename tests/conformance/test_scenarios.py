"""The embedded cluster is ArmoniK to whoever speaks to it: one test for each scenario."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conformance.registry import Scenario, all_scenarios

if TYPE_CHECKING:
    from tests.conformance.conftest import Run

# The scenarios that run alone come last: those run beside each other before.
SCENARIOS = sorted(all_scenarios(), key=lambda one: (one.alone, one.number))


def _name(scenario: Scenario) -> str:
    words = "".join(letter if letter.isalnum() else " " for letter in scenario.title).split()
    return f"{scenario.number}-{'-'.join(words)}"


@pytest.mark.parametrize("number", [pytest.param(one.number, id=_name(one)) for one in SCENARIOS])
def test_the_scenario_holds(run: Run, number: int) -> None:
    outcome = run.outcome(number)
    assert (outcome.status, outcome.error, outcome.skipped_parts) == ("PASS", "", [])


def test_the_numbers_are_those_of_the_kit() -> None:
    assert [one.number for one in all_scenarios()] == list(range(1, 124))
