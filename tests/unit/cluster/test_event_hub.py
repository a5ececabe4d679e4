"""Events for clients that take several in one message, and in the thread that made them."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from pymonik.cluster.event_hub import MOST_TOGETHER, Interest, Subscription
from pymonik.cluster.services.fields import RESULTS, TASKS
from pymonik.cluster.services.filters import Query
from pymonik.cluster.state.faults import ShuttingDown
from pymonik.cluster.state.rows import Change, Kind, Result, ResultStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

WAIT_S = 20.0
ROWS = [Result(f"r{number}", "s", "", 1) for number in range(4)]


def _completed(row: Result) -> Change:
    return Change(Kind.RESULT_STATUS, row, ResultStatus.COMPLETED)


def _subscription() -> Subscription:
    interest = Interest("s", Query(TASKS, None), Query(RESULTS, None), frozenset(Kind))
    return Subscription(interest, lambda _: None)


def _tell(subscription: Subscription, *rows: Result) -> None:
    for row in rows:
        subscription.offer(_completed(row))
    subscription.announce()


def test_what_comes_during_the_pause_is_given_together() -> None:
    subscription = _subscription()
    later = queue.SimpleQueue[Result]()
    for row in ROWS[1:3]:
        later.put(row)

    def pause() -> None:
        while not later.empty():
            subscription.offer(_completed(later.get()))

    _tell(subscription, ROWS[0])
    batches = subscription.batches(pause)
    assert [change.row for change in next(batches)] == ROWS[:3]
    _tell(subscription, ROWS[3])
    assert [change.row for change in next(batches)] == ROWS[3:]


def test_what_came_before_the_end_is_told() -> None:
    subscription = _subscription()
    _tell(subscription, ROWS[0])
    subscription.stop()
    batches = subscription.batches(lambda: None)
    assert [change.row for change in next(batches)] == ROWS[:1]
    with pytest.raises(ShuttingDown):
        next(batches)


def test_a_client_that_leaves_ends_the_batches() -> None:
    subscription = _subscription()
    _tell(subscription, ROWS[0])
    subscription.cancel()
    assert [len(batch) for batch in subscription.batches(lambda: None)] == [1]


def test_a_batch_is_bounded() -> None:
    subscription = _subscription()
    for _ in range(MOST_TOGETHER + 1):
        _tell(subscription, ROWS[0])
    subscription.cancel()
    assert [len(one) for one in subscription.batches(lambda: None)] == [MOST_TOGETHER, 1]


def test_all_changes_arrive_once_whoever_made_them() -> None:
    subscription = _subscription()
    many = [Result(f"r{number}", "s", "", 1) for number in range(2_000)]
    told, start = list[Result](), threading.Barrier(3)

    def make(rows: Sequence[Result]) -> None:
        start.wait(WAIT_S)
        for row in rows:
            _tell(subscription, row)

    def read() -> None:
        start.wait(WAIT_S)
        told.extend(change.row for change in subscription)  # type: ignore[misc]

    with ThreadPoolExecutor(3) as threads:
        ends = [threads.submit(make, many[::2]), threads.submit(make, many[1::2])]
        reading = threads.submit(read)
        for end in ends:
            end.result(WAIT_S)
        subscription.cancel()
        reading.result(WAIT_S)
    assert sorted(row.result_id for row in told) == sorted(row.result_id for row in many)
