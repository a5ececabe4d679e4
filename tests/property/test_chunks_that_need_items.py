"""Chunks whose calls need items of other chunks, any of which failed: each item ends as it must."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pymonik import Pymonik, task
from pymonik.cluster.local import LocalCluster
from pymonik.errors import DependencyFailedError

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT_S = 60.0
_MOST_ITEMS = 6  # of a map


class Call(NamedTuple):
    """A call of a map: what it adds, which earlier items it needs, whether it raises."""

    own: int
    needs: tuple[tuple[int, int], ...]  # map and item
    fails: bool


@task
def add_up(own: int, fails: bool, *needed: int) -> int:
    if fails:
        raise ValueError(f"{own} fails")
    return own + sum(needed)


@st.composite
def maps_of_calls(draw: st.DrawFn) -> list[tuple[int, list[Call]]]:
    """Some maps, each with its chunk size, that need items of those before."""
    drawn: list[tuple[int, list[Call]]] = []
    for _ in range(draw(st.integers(2, 4))):
        earlier = [(m, i) for m, (_, calls) in enumerate(drawn) for i in range(len(calls))]
        needs = st.lists(st.sampled_from(earlier), max_size=3) if earlier else st.just([])
        call = st.builds(
            Call, st.integers(0, 99), needs.map(tuple), st.sampled_from([False] * 4 + [True])
        )
        calls = draw(st.lists(call, min_size=1, max_size=_MOST_ITEMS))
        drawn.append((draw(st.integers(1, _MOST_ITEMS)), calls))
    return drawn


@pytest.fixture(scope="module")
def client() -> Iterator[Pymonik]:
    with LocalCluster(workers=2) as cluster, Pymonik(cluster, on_unseen="ignore") as client:
        yield client


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(maps_of_calls())
def test_each_item_has_its_value_or_the_error_that_is_to_blame(
    client: Pymonik, maps: list[tuple[int, list[Call]]]
) -> None:
    handles: list[Any] = []
    for size, calls in maps:
        arguments = [(c.own, c.fails, *(handles[m][i] for m, i in c.needs)) for c in calls]
        handles.append(add_up.map_invoke(arguments, client, chunk_size=size))
    expected = _expected([calls for _, calls in maps])
    for number, handle in enumerate(handles):
        found = handle.get(timeout=TIMEOUT_S, return_exceptions=True)
        for one, wanted in zip(found, expected[number], strict=True):
            if isinstance(wanted, int):
                assert one == wanted
            else:
                assert isinstance(one, wanted), one


def _expected(maps: list[list[Call]]) -> list[list[int | type[Exception]]]:
    """The same without a cluster."""
    known: list[list[int | type[Exception]]] = []
    for calls in maps:
        known.append([])
        for call in calls:
            values = [known[m][i] for m, i in call.needs]
            numbers = [value for value in values if isinstance(value, int)]
            if len(numbers) < len(values):
                known[-1].append(DependencyFailedError)
            else:
                known[-1].append(ValueError if call.fails else call.own + sum(numbers))
    return known
