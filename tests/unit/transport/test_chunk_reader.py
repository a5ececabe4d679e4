"""How the states of items end: as their places in the result say, and always."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from pymonik.code.failure import Failure
from pymonik.errors import (
    ControlPlaneError,
    PymonikError,
    TaskCancelledError,
    UnavailableError,
)
from pymonik.session.forgetting import Hold
from pymonik.session.result import Countdown, Inputs, ResultState
from pymonik.transport.chunks import ChunkReader, ChunkState
from pymonik.wire.call import ResultRef
from tests.unit.transport.calls import WAIT_S, Handle, chunk, result, state, states

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pymonik.code.codec import OpenedResult


class Results:
    """Results by id, and the states of those that are not known by anything else."""

    def __init__(self) -> None:
        self.there: dict[str, OpenedResult] = {}
        self.attached: dict[str, ResultState] = {}
        self.asked: list[list[str]] = []
        self.error: type[ControlPlaneError] = ControlPlaneError

    def get(self, states: Sequence[ResultState]) -> list[OpenedResult]:
        ids = [one.result_id or "" for one in states]
        self.asked.append(ids)
        if missing := set(ids) - set(self.there):
            raise self.error("DownloadResultData", f"no {missing}")
        return [self.there[one] for one in ids]

    def attach(self, result_id: str) -> ResultState:
        return self.attached.setdefault(result_id, state(result_id))


@pytest.fixture
def results() -> Results:
    return Results()


@pytest.fixture
def reader(results: Results) -> Iterator[ChunkReader]:
    before = set(threading.enumerate())
    double: Any = results
    one = ChunkReader(double, results.attach)
    yield one
    one.close()
    assert set(threading.enumerate()) <= before


def settle(ours: Sequence[ResultState]) -> None:
    Countdown(ours).wait(WAIT_S)


def followed(reader: ChunkReader, count: int, result_id: str = "whole") -> ChunkState:
    whole = chunk(states(count), result_id)
    reader.follow(whole, whole.items)
    return whole


def test_items_end_as_their_places_say(reader: ChunkReader, results: Results) -> None:
    results.there["whole"] = result(1, Failure.of(ValueError("mine")), 3)
    learnt: list[tuple[float, int]] = []
    whole = chunk(states(3))
    items = whole.items
    reader.follow(whole, items, lambda *what: learnt.append(what))
    whole.complete()
    settle(items)
    reader.join()
    assert [type(one.error) for one in items] == [type(None), ValueError, type(None)]
    assert all(one.whole is None for one in items)
    assert learnt == [(1.0, 3)]
    assert not whole.items


def test_a_result_that_failed_fails_all_items_in_the_same_way(reader: ChunkReader) -> None:
    whole = followed(reader, 3)
    items, error = whole.items, PymonikError("lost")
    whole.fail(error)
    assert [one.error for one in items] == [error] * 3
    reader.join()


def test_a_result_that_ended_before_is_read_too(reader: ChunkReader, results: Results) -> None:
    results.there["whole"] = result(1)
    whole = chunk(states(1))
    whole.complete()
    items = whole.items
    reader.follow(whole, items)
    settle(items)
    assert items[0].error is None


def test_items_that_stand_elsewhere_are_followed(reader: ChunkReader, results: Results) -> None:
    results.there["whole"] = result(ResultRef("b", 1), 2, ResultRef("b", 0), ResultRef("c"))
    results.there["b"] = result(ResultRef("d", 0), 1)
    results.there["d"] = result(Failure.of(KeyError("deep")))
    results.there["c"] = result(1)
    for one in "bcd":
        results.attach(one).complete()
    whole = followed(reader, 4)
    items = whole.items
    whole.complete()
    settle(items)
    assert [one.place for one in items] == [
        ResultRef("b", 1), ResultRef("whole", 1), ResultRef("d", 0), ResultRef("c", -1),
    ]  # fmt: skip
    assert [type(one.error) for one in items] == [type(None)] * 2 + [KeyError, type(None)]


def test_data_are_held_where_a_value_stands_and_where_it_was_said_to_stand(
    reader: ChunkReader, results: Results
) -> None:
    forgotten: list[str] = []
    results.there["whole"] = result(1, ResultRef("b", 0))
    results.there["b"] = result(2)
    results.attach("b").holds = (Hold("b", forgotten.append),)
    whole = followed(reader, 2)
    whole.holds = (Hold("whole", forgotten.append),)
    here, there = whole.items
    whole.complete()
    settle([here])
    del here, whole
    results.attached["b"].complete()
    settle([there])
    reader.join()
    results.attached.clear()
    assert not forgotten  # a call that waits for it looks at `whole` first
    del there
    assert sorted(forgotten) == ["b", "whole"]


def test_inputs_are_held_until_the_last_item_has_ended(
    reader: ChunkReader, results: Results
) -> None:
    results.there["whole"] = result(1, ResultRef("b", 0))
    results.there["b"] = result(2)
    results.attach("b")
    needed = state("needed")
    seen, inputs = weakref.ref(needed), Inputs([Handle(needed)])
    whole = chunk(states(2))
    items = whole.items
    reader.follow(whole, items, inputs=inputs)
    del needed, inputs
    whole.complete()
    settle(items[:1])
    assert seen() is not None
    results.attached["b"].complete()
    settle(items)
    reader.join()
    reader.close()
    assert seen() is None


def test_items_elsewhere_fail_with_their_result_and_alone(
    reader: ChunkReader, results: Results
) -> None:
    results.there["whole"] = result(ResultRef("b"), 2)
    results.attached["b"] = state("b")
    whole = followed(reader, 2)
    items = whole.items
    whole.complete()
    settle(items[1:])
    results.attached["b"].fail(PymonikError("lost"))
    settle(items)
    assert [one.error is None for one in items] == [False, True]


def test_items_in_a_group_elsewhere_know_each_other(reader: ChunkReader, results: Results) -> None:
    results.there["whole"] = result(1, ResultRef("b", 0), ResultRef("b", 1))
    results.attached["b"] = state("b")
    whole = followed(reader, 3)
    items = whole.items
    whole.complete()
    reader.close()  # it has read everything then
    group = items[1].whole
    assert isinstance(group, ChunkState)
    assert list(group.items) == items[1:]
    assert group.result_id == "b"


def test_an_item_on_its_way_elsewhere_is_never_taken_for_a_call_alone(
    reader: ChunkReader, results: Results
) -> None:
    """Who cancels it then would cancel the task of its neighbours too."""
    results.there["whole"] = result(ResultRef("b", 0), ResultRef("b", 1))
    whole = followed(reader, 2)
    items = list(whole.items)
    seen: list[ResultState | None] = []
    attach = results.attach

    def look(result_id: str) -> ResultState:
        seen.extend(one.whole for one in items)
        return attach(result_id)

    reader._attach = look
    whole.complete()
    reader.close()
    assert seen == [whole, whole]
    results.attached["b"].fail(TaskCancelledError("the end"))


def test_of_a_result_that_is_not_known_whole_nothing_is_said_of_groups(
    reader: ChunkReader, results: Results
) -> None:
    results.there["a"] = result(1, ResultRef("b", 0), ResultRef("b", 1))
    results.attached["b"] = state("b")
    whole, one = state("a"), state("a", 1)
    reader.follow(whole, [one])
    whole.complete()
    reader.close()
    assert one.whole is results.attached["b"]
    results.attached["b"].fail(TaskCancelledError("the end"))


def test_items_that_were_given_up_stay_so(reader: ChunkReader, results: Results) -> None:
    results.there["whole"] = result(1, 2)
    whole = followed(reader, 2)
    items = whole.items
    items[0].fail(TaskCancelledError("given up"))
    whole.complete()
    settle(items)
    assert isinstance(items[0].error, TaskCancelledError)
    assert items[1].error is None


def test_a_result_that_cannot_be_fetched_fails_its_items_and_no_others(
    reader: ChunkReader, results: Results
) -> None:
    wholes = [chunk(states(2), f"r{n}") for n in range(10)]
    results.there = {f"r{n}": result(1, 2) for n in range(10) if n != 4}
    items = [one.items for one in wholes]
    for whole in wholes:
        whole.complete()
        reader.follow(whole, whole.items)
    settle([one for ours in items for one in ours])
    failed = [n for n, ours in enumerate(items) if all(one.error for one in ours)]
    assert failed == [4]
    assert isinstance(items[4][0].error, ControlPlaneError)
    reader.join()


def test_where_nobody_answers_it_is_not_asked_for_each_result(
    reader: ChunkReader, results: Results
) -> None:
    results.error = UnavailableError
    entered, go_on = threading.Event(), threading.Event()
    get = results.get

    def slow(states: Sequence[ResultState]) -> list[OpenedResult]:
        entered.set()
        assert go_on.wait(WAIT_S)
        return get(states)

    results.get = slow  # type: ignore[method-assign]
    items: list[ResultState] = []
    for number in range(41):
        whole = followed(reader, 2, f"r{number}")
        items += whole.items
        whole.complete()
        assert entered.wait(WAIT_S)
    go_on.set()
    settle(items)
    assert all(isinstance(one.error, UnavailableError) for one in items)
    assert [len(ids) for ids in results.asked] == [1, 40]


def test_a_result_with_too_few_items_fails_those_that_are_missing(
    reader: ChunkReader, results: Results
) -> None:
    results.there["whole"] = result(1)
    whole = followed(reader, 3)
    items = whole.items
    whole.complete()
    settle(items)
    assert [one.error is None for one in items] == [True, False, False]
    reader.join()


def test_a_large_result_counts_as_long(reader: ChunkReader, results: Results) -> None:
    learnt: list[tuple[float, int]] = []
    results.there["whole"] = result(bytes(30 << 20), 1, ResultRef("b"), seconds=0.001)
    whole = chunk(states(3))
    reader.follow(whole, whole.items, lambda *what: learnt.append(what))
    whole.complete()
    reader.close()
    ((seconds, calls),) = learnt
    assert (seconds > 0.1, calls) == (True, 2)


def test_closing_reads_what_has_completed(reader: ChunkReader, results: Results) -> None:
    results.there = {f"r{n}": result(n) for n in range(200)}
    wholes = [followed(reader, 1, one) for one in results.there]
    items = [one.items[0] for one in wholes]
    for whole in wholes:
        whole.complete()
    reader.close()
    assert all(one.is_final for one in items)
    reader.join()
