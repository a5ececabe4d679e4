"""Columns of seconds and processor time, one entry for each call."""

from __future__ import annotations

from array import array

import pytest

from pymonik.executor import measures
from pymonik.executor.measures import Measures


class Clocks:
    """Clocks that go on when a test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall = self.cpu = 100.0
        monkeypatch.setattr(measures, "_now", lambda: self.wall)
        monkeypatch.setattr(measures, "_cpu", lambda: self.cpu)

    def spend(self, wall: float, cpu: float) -> tuple[float, float]:
        """When a call began and ended that took so long."""
        begun = self.wall
        self.wall += wall
        self.cpu += cpu
        return begun, self.wall


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    return Clocks(monkeypatch)


def columns(found: Measures) -> tuple[list[float], list[float]]:
    figures = found.figures()
    seconds, cpu = array("f", figures.seconds), array("f", figures.cpu_s)
    return list(seconds), list(cpu)


def test_each_call_has_its_seconds_and_processor_time(clocks: Clocks) -> None:
    found = Measures()
    for wall, cpu in ((0.5, 0.25), (2.0, 1.5)):
        found.ended(*clocks.spend(wall, cpu))
    assert columns(found) == ([0.5, 2.0], [0.25, 1.5])
    assert found.seconds == 2.5


def test_tiny_calls_alone_have_no_column_of_processor_time(clocks: Clocks) -> None:
    found = Measures()
    for _ in range(3):
        found.ended(*clocks.spend(0.0005, 0.0004))
    seconds, cpu = columns(found)
    assert seconds == pytest.approx([0.0005] * 3)
    assert cpu == []


def test_tiny_calls_share_what_was_used_since_the_last_look(clocks: Clocks) -> None:
    found = Measures()
    found.ended(*clocks.spend(0.0005, 0.0))
    found.ended(
        *clocks.spend(0.0015, 0.001)
    )  # long enough for a look: half a millisecond of each millisecond was used
    found.ended(*clocks.spend(0.0005, 0.0005))
    seconds, cpu = columns(found)
    assert seconds == pytest.approx([0.0005, 0.0015, 0.0005])
    assert cpu == pytest.approx([0.00025, 0.00075, 0.0005])
    assert sum(cpu) == pytest.approx(0.0015)


def test_no_calls_have_no_figures() -> None:
    assert columns(Measures()) == ([], [])
