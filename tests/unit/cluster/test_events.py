"""Events for clients that take several in one message."""

from __future__ import annotations

import queue

import pytest

from pymonik.cluster.events import MOST_TOGETHER, Interest, Subscription
from pymonik.cluster.messages import joined_events
from pymonik.cluster.services.fields import RESULTS, TASKS
from pymonik.cluster.services.filters import Query
from pymonik.cluster.state.faults import ShuttingDown
from pymonik.cluster.state.rows import Change, Kind, Result, ResultStatus

ROWS = [Result(f"r{number}", "s", "", 1) for number in range(4)]


def _completed(row: Result) -> Change:
    return Change(Kind.RESULT_STATUS, row, ResultStatus.COMPLETED)


def _subscription() -> Subscription:
    interest = Interest("s", Query(TASKS, None), Query(RESULTS, None), frozenset(Kind))
    return Subscription(interest, lambda _: None)


def test_what_comes_during_the_pause_is_given_together() -> None:
    subscription = _subscription()
    later = queue.SimpleQueue[Result]()
    for row in ROWS[1:3]:
        later.put(row)

    def pause() -> None:
        while not later.empty():
            subscription.offer(_completed(later.get()))

    subscription.offer(_completed(ROWS[0]))
    batches = subscription.batches(pause)
    assert [change.row for change in next(batches)] == ROWS[:3]
    subscription.offer(_completed(ROWS[3]))
    assert [change.row for change in next(batches)] == ROWS[3:]


def test_what_came_before_the_end_is_told() -> None:
    subscription = _subscription()
    subscription.offer(_completed(ROWS[0]))
    subscription.stop()
    batches = subscription.batches(lambda: None)
    assert [change.row for change in next(batches)] == ROWS[:1]
    with pytest.raises(ShuttingDown):
        next(batches)


def test_a_client_that_leaves_ends_the_batches() -> None:
    subscription = _subscription()
    subscription.offer(_completed(ROWS[0]))
    subscription.cancel()
    assert [len(batch) for batch in subscription.batches(lambda: None)] == [1]


def test_a_batch_is_bounded() -> None:
    subscription = _subscription()
    for _ in range(MOST_TOGETHER + 1):
        subscription.offer(_completed(ROWS[0]))
    subscription.cancel()
    assert [len(one) for one in subscription.batches(lambda: None)] == [MOST_TOGETHER, 1]


def test_results_that_got_the_same_status_one_after_the_other_are_joined() -> None:
    changes = [
        _completed(ROWS[0]),
        _completed(ROWS[1]),
        Change(Kind.RESULT_STATUS, ROWS[2], ResultStatus.ABORTED),
        Change(Kind.RESULT_OWNER, ROWS[3], "task"),
        Change(Kind.RESULT_OWNER, ROWS[2], "task"),
        _completed(ROWS[3]),
    ]
    events = list(joined_events(changes))
    updates = [
        (event.result_status_update.result_id, event.result_status_update.status)
        for event in events
        if event.WhichOneof("update") == "result_status_update"
    ]
    completed, aborted = int(ResultStatus.COMPLETED), int(ResultStatus.ABORTED)
    assert updates == [("r0 r1", completed), ("r2", aborted), ("r3", completed)]
    assert len(events) == 5
    assert {event.session_id for event in events} == {"s"}
