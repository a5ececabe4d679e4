from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from pymonik.executor import putting_back
from pymonik.executor.putting_back import PuttingBack

if TYPE_CHECKING:
    from pymonik.executor.surroundings import Surroundings


class Fake:
    """Counts looks; a call that changed something has set `dirty`."""

    def __init__(self) -> None:
        self.changes = 0
        self.looks: list[str] = []
        self.dirty = False
        self.reason = ""

    def put_back(self) -> str:
        self.looks.append("all")
        self.changes += self.dirty
        self.dirty = False
        return self.reason

    def put_back_little(self) -> None:
        self.looks.append("little")


class Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(putting_back, "time", clock)
    return clock


@pytest.fixture
def fake() -> Fake:
    return Fake()


@pytest.fixture
def after(clock: Clock, fake: Fake) -> PuttingBack:
    return PuttingBack(cast("Surroundings", fake))


def calls(after: PuttingBack, count: int, function: str = "f") -> None:
    for _ in range(count):
        assert after.begins(function) == ""
        assert after.ended() == ""


def test_a_function_whose_calls_change_nothing_is_believed_for_a_millisecond(
    after: PuttingBack, fake: Fake, clock: Clock
) -> None:
    calls(after, 5)
    assert fake.looks == ["all", "all", "all", "little", "little"]
    clock.now = 0.002
    calls(after, 1)
    assert fake.looks[-1] == "all"


def test_a_call_of_another_function_finds_all_as_it_was(after: PuttingBack, fake: Fake) -> None:
    calls(after, 4)
    fake.looks.clear()
    assert after.begins("g") == ""
    assert fake.looks == ["all"]
    assert after.ended() == ""
    assert fake.looks == ["all", "all"]


def test_so_does_whoever_comes_after_a_pause(after: PuttingBack, fake: Fake) -> None:
    calls(after, 4)
    fake.looks.clear()
    assert after.rests() == ""
    assert after.rests() == ""
    assert fake.looks == ["all"]


def test_a_function_that_changes_something_is_not_believed(after: PuttingBack, fake: Fake) -> None:
    for _ in range(6):
        assert after.begins("f") == ""
        fake.dirty = True
        assert after.ended() == ""
    assert fake.looks == ["all"] * 6


def test_what_cannot_be_put_back_is_told_before_another_call_begins(
    after: PuttingBack, fake: Fake
) -> None:
    calls(after, 4)
    fake.reason = "descriptors were closed"
    assert after.begins("g") == "descriptors were closed"
