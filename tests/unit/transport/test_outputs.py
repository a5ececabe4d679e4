"""Outputs created ahead: fewer requests, every result once, a bounded number of spares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from pymonik.transport.outputs import Outputs

if TYPE_CHECKING:
    from collections.abc import Sequence


class Plane:
    """Creates results with ids that tell their names."""

    def __init__(self) -> None:
        self.requests: list[list[str]] = []
        self.count = 0

    def create_results_metadata(self, _: str, names: Sequence[str]) -> list[str]:
        self.requests.append(list(names))
        ids = [f"{name}-{self.count + i}" for i, name in enumerate(names)]
        self.count += len(ids)
        return ids


@pytest.fixture
def plane() -> Plane:
    return Plane()


def outputs(plane: Plane) -> Outputs:
    return Outputs(cast("Any", plane), "session")


def test_calls_one_by_one_share_requests(plane: Plane) -> None:
    some = outputs(plane)
    ids = [some.take(["f"])[0] for _ in range(60)]
    assert len(set(ids)) == 60
    assert len(plane.requests) == 2


def test_a_name_that_comes_once_has_no_spares(plane: Plane) -> None:
    outputs(plane).take(["f"])
    assert plane.requests == [["f"]]


def test_every_id_has_the_name_that_was_asked_for(plane: Plane) -> None:
    some = outputs(plane)
    for _ in range(80):
        ids = some.take(["f", "g", "f"])
        assert [one.split("-")[0] for one in ids] == ["f", "g", "f"]


def test_a_large_batch_is_one_request_of_its_size(plane: Plane) -> None:
    some = outputs(plane)
    for _ in range(3):
        some.take(["f"] * 100)
    assert [len(names) for names in plane.requests] == [100] * 3


def test_many_names_do_not_gather_spares_without_bound(plane: Plane) -> None:
    some = outputs(plane)
    for number in range(200):
        some.take([f"f{number}"])
        some.take([f"f{number}"])
    assert len(some._spare) <= 16
