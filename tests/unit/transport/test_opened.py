"""Results kept for a while: those of several values, and no more than fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pymonik.code import codec
from pymonik.transport import opened
from pymonik.transport.opened import OpenedResults
from pymonik.wire import containers
from pymonik.wire.call import ItemMeta, ResultMeta
from tests.unit.transport.calls import state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymonik.session.result import ResultState


class Store:
    def __init__(self, **containers: bytes) -> None:
        self.containers = containers
        self.fetched: list[str] = []

    def fetch(self, ids: Sequence[str]) -> list[bytes]:
        self.fetched += ids
        return [self.containers[one] for one in ids]


def container(value: object, *, chunked: bool = True) -> bytes:
    packed = codec.pack(value)
    meta = ResultMeta(items=(ItemMeta(len(packed.blobs)),), chunked=chunked)
    return b"".join(containers.join(meta, packed.blobs))


def made(**containers: bytes) -> tuple[OpenedResults, Store]:
    store = Store(**containers)
    double: Any = store
    return OpenedResults(double), store


def told(result_id: str, data: bytes) -> ResultState:
    """The state of a result whose data came with the news of its end."""
    one = state(result_id)
    one.news = data
    return one


def named(*ids: str) -> list[ResultState]:
    return [state(one) for one in ids]


def test_results_come_in_order_each_fetched_once() -> None:
    results, store = made(a=container(1), b=container(2))
    values = [one.value(0) for one in results.get(named("b", "a", "b"))]
    assert values == [2, 1, 2]
    assert store.fetched == ["b", "a"]


def test_only_results_of_several_values_are_kept() -> None:
    results, store = made(a=container(1), b=container(2, chunked=False))
    for _ in range(2):
        results.get(named("a", "b"))
    assert store.fetched == ["a", "b", "b"]


def test_those_used_last_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opened, "_MOST_RESULTS", 2)
    results, store = made(**{one: container(one) for one in "abc"})
    for one in "ababcab":
        results.get(named(one))
    assert store.fetched == ["a", "b", "c", "a", "b"]
    assert len(results._kept) == 2


def test_no_more_bytes_are_kept_than_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(container(bytes(1000)))
    monkeypatch.setattr(opened, "_MOST_BYTES", 3 * size)
    results, _ = made(
        large=container(bytes(10_000)), **{f"r{n}": container(bytes(1000)) for n in range(10)}
    )
    for n in range(10):
        results.get(named(f"r{n}", "large"))
        assert results._nbytes == sum(one.nbytes for one in results._kept.values()) <= 3 * size
    assert list(results._kept) == ["r7", "r8", "r9"]


def test_what_cannot_be_fetched_changes_nothing() -> None:
    results, _ = made(a=container(1))
    results.get(named("a"))
    with pytest.raises(KeyError):
        results.get(named("a", "b"))
    assert list(results._kept) == ["a"]


def test_data_that_came_with_the_news_are_not_fetched() -> None:
    results, store = made(b=container(2))
    states = [told("a", container(1, chunked=False)), state("b")]
    assert [one.value(0) for one in results.get(states)] == [1, 2]
    assert store.fetched == ["b"]


def test_news_of_several_values_are_kept_like_what_was_fetched() -> None:
    results, store = made()
    one = told("a", container(1))
    for _ in range(2):
        assert results.get([one])[0].value(0) == 1
    assert store.fetched == []


def test_news_are_kept_until_they_are_read() -> None:
    results, store = made(a=container(1, chunked=False))
    one = told("a", container(1, chunked=False))
    results.get([one])
    assert one.news is None
    assert results.get([one])[0].value(0) == 1
    assert store.fetched == ["a"]


def test_news_are_kept_when_what_is_asked_for_with_them_cannot_be_fetched() -> None:
    results, _ = made()
    one = told("a", container(1, chunked=False))
    with pytest.raises(KeyError):
        results.get([one, state("lost")])
    assert results.get([one])[0].value(0) == 1


def test_a_single_value_that_is_asked_for_twice_is_read_twice() -> None:
    results, store = made(a=container(1, chunked=False), b=container(2))
    first, second, *_ = results.get(named("a", "a", "b", "b"))
    assert first is not second
    assert [first.value(0), second.value(0)] == [1, 1]
    assert store.fetched == ["a", "b", "a"]
