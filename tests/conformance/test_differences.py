"""What differs from a real ArmoniK is known, and the documentation says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.conformance.differences import documented, found
from tests.conformance.registry import all_scenarios
from tests.conformance.report import write

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conformance.conftest import Run


def test_the_differences_are_those_of_the_page(run: Run, tmp_path: Path) -> None:
    ordered = sorted(all_scenarios(), key=lambda one: one.alone)
    for one in ordered:
        run.begin(one.number)
    outcomes = sorted((run.outcome(one.number) for one in ordered), key=lambda one: one.number)
    write(tmp_path / "run.json", {}, outcomes)
    assert found(tmp_path / "run.json") == documented()
