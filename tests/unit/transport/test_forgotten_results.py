"""Data that nobody holds are deleted, many at once; whatever happens, nobody waits for that."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Any

import pytest

from pymonik.errors import ControlPlaneError
from pymonik.transport import forgotten
from pymonik.transport.forgotten import ForgottenResults
from tests.unit.transport.calls import WAIT_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


class Plane:
    """Notes what is deleted; waits before it answers as long as `go_on` is not set."""

    def __init__(self) -> None:
        self.deleted: queue.SimpleQueue[list[str]] = queue.SimpleQueue()
        self.go_on = threading.Event()
        self.go_on.set()
        self.error: ControlPlaneError | None = None

    def delete_data(self, ids: Sequence[str]) -> None:
        self.deleted.put(list(ids))
        assert self.go_on.wait(WAIT_S)
        if self.error is not None:
            raise self.error

    def next(self) -> list[str]:
        return self.deleted.get(timeout=WAIT_S)


@pytest.fixture
def plane(monkeypatch: pytest.MonkeyPatch) -> Plane:
    monkeypatch.setattr(forgotten, "_GATHER_S", 0.0)
    return Plane()


@pytest.fixture
def results(plane: Plane) -> Iterator[Callable[..., ForgottenResults]]:
    made: list[ForgottenResults] = []

    def make(are_kept: Callable[[], bool] = lambda: False) -> ForgottenResults:
        double: Any = plane
        made.append(ForgottenResults(double, are_kept))
        made[-1].start()
        return made[-1]

    yield make
    for one in made:
        one.close()
        assert not one._thread.is_alive()


def test_data_go_with_the_last_who_holds_them(
    plane: Plane, results: Callable[..., ForgottenResults]
) -> None:
    session = results()
    first, second = session.hold("first"), session.hold("second")
    shared = [first, first]
    del first
    shared.pop()
    del second
    assert plane.next() == ["second"]
    shared.clear()
    assert plane.next() == ["first"]


def test_what_is_forgotten_meanwhile_goes_together(
    plane: Plane, results: Callable[..., ForgottenResults]
) -> None:
    session = results()
    holds = [session.hold(str(number)) for number in range(5)]
    plane.go_on.clear()
    del holds[0]
    assert plane.next() == ["0"]
    holds.clear()
    plane.go_on.set()
    assert sorted(plane.next()) == ["1", "2", "3", "4"]


def test_nothing_is_deleted_that_somebody_else_may_ask_for(
    plane: Plane, results: Callable[..., ForgottenResults]
) -> None:
    asked: queue.SimpleQueue[None] = queue.SimpleQueue()

    def are_kept() -> bool:
        asked.put(None)
        return True

    session = results(are_kept)
    session.hold("gone at once")
    asked.get(timeout=WAIT_S)
    session.close()
    assert plane.deleted.empty()


def test_what_cannot_be_deleted_stops_nothing(
    plane: Plane, results: Callable[..., ForgottenResults]
) -> None:
    session = results()
    plane.error = ControlPlaneError("DeleteResultsData", "not now")
    session.hold("first")
    assert plane.next() == ["first"]
    session.hold("second")
    assert plane.next() == ["second"]


def test_what_was_forgotten_before_the_end_is_deleted(
    plane: Plane, results: Callable[..., ForgottenResults], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forgotten, "_GATHER_S", WAIT_S)
    session = results()
    session.hold("last")
    session.close()
    assert plane.deleted.get_nowait() == ["last"]


def test_what_is_forgotten_after_the_end_is_not_deleted(
    plane: Plane, results: Callable[..., ForgottenResults]
) -> None:
    session = results()
    late = session.hold("late")
    session.close()
    del late
    assert plane.deleted.empty()


def test_a_control_plane_that_does_not_answer_does_not_hold_up_the_end(
    plane: Plane, results: Callable[..., ForgottenResults], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forgotten, "_LEAVE_S", 0.01)
    session = results()
    plane.go_on.clear()
    session.hold("gone")
    assert plane.next() == ["gone"]
    session.close()
    assert session._thread.is_alive()
    plane.go_on.set()
    session._thread.join(WAIT_S)
