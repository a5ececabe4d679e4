"""Hooks, outcomes, and maps of which only so many calls are queued."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from pymonik import (
    ArgumentsError,
    LocalCluster,
    Outcome,
    Pymonik,
    TaskCancelled,
    TaskCompleted,
    TaskEvent,
    TaskFailed,
    TaskSubmitted,
    as_completed,
    task,
)
from pymonik.errors import PymonikError, UsageError, WaitTimeoutError

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT_S = 55.0


@task
def inverse(n: int) -> float:
    return 1 / n


@task(label="study")
def double(n: int) -> int:
    return 2 * n


@task
def waits() -> None:
    threading.Event().wait()


@pytest.fixture
def own(cluster: LocalCluster) -> Iterator[Pymonik]:
    with Pymonik(cluster, on_unseen="ignore") as client:
        yield client


def test_hooks_hear_of_every_call_with_its_kind(cluster: LocalCluster):
    seen: list[TaskEvent] = []
    with Pymonik(cluster, on_unseen="ignore") as client:
        client.on(TaskEvent, seen.append)
        inverse.map_invoke([1, 0, 2])
        double.invoke(4)
    # The end of the session has waited for them.
    assert Counter(type(event) for event in seen) == {
        TaskSubmitted: 4,
        TaskCompleted: 3,
        TaskFailed: 1,
    }
    (failed,) = [event for event in seen if isinstance(event, TaskFailed)]
    assert isinstance(failed.error, ZeroDivisionError)
    assert (failed.name, failed.index, failed.label) == ("inverse", 1, "")
    (alone,) = [e for e in seen if isinstance(e, TaskCompleted) and e.name == "double"]
    assert (alone.handle.get(), alone.index, alone.label) == (8, None, "study")


def test_a_hook_is_told_of_its_kind_only_and_until_it_is_removed(own: Pymonik):
    seen: list[TaskFailed] = []
    told = threading.Event()

    @own.on(TaskFailed)
    def notify(event: TaskFailed) -> None:
        seen.append(event)
        told.set()

    completed: list[TaskCompleted] = []
    remove = own.on(TaskCompleted, completed.append)
    double.invoke(1).get(timeout=TIMEOUT_S)
    inverse.invoke(0).exception(timeout=TIMEOUT_S)
    assert told.wait(TIMEOUT_S)
    assert [event.name for event in seen] == ["inverse"]
    assert [event.name for event in completed] == ["double"]
    remove()
    double.invoke(1).get(timeout=TIMEOUT_S)
    told.clear()
    inverse.invoke(0).exception(timeout=TIMEOUT_S)
    assert told.wait(TIMEOUT_S)
    assert len(completed) == 1


def test_cancelled_calls_are_told_as_such(own: Pymonik):
    told = threading.Event()
    seen: list[TaskFailed] = []

    def note(event: TaskFailed) -> None:
        seen.append(event)
        told.set()

    own.on(TaskFailed, note)
    handle = waits.invoke()
    handle.cancel()
    assert told.wait(TIMEOUT_S)
    assert [type(event) for event in seen] == [TaskCancelled]


def test_a_hook_that_fails_costs_nobody_anything_and_one_may_invoke(own: Pymonik):
    def fails(event: TaskCompleted) -> None:
        raise LookupError

    values: list[int] = []
    told = threading.Event()

    def follows(event: TaskCompleted) -> None:
        if event.name == "inverse":
            values.append(double.invoke(3).get(timeout=TIMEOUT_S))
            told.set()

    own.on(TaskCompleted, fails)
    own.on(TaskCompleted, follows)
    inverse.invoke(1)
    assert told.wait(TIMEOUT_S)
    assert values == [6]


@pytest.mark.parametrize("kind", [int, "TaskFailed", None])
def test_what_is_no_kind_of_event_is_refused(own: Pymonik, kind: object):
    with pytest.raises(UsageError, match="kind of TaskEvent"):
        own.on(kind, print)  # type: ignore[call-overload]
    with pytest.raises(UsageError, match="a hook is a function"):
        own.on(TaskFailed, 3)  # type: ignore[call-overload]


def test_an_outcome_is_a_value_or_an_error(own: Pymonik):
    good, bad, gone = inverse.invoke(2), inverse.invoke(0), waits.invoke()
    assert good.outcome(timeout=TIMEOUT_S) == Outcome("ok", 0.5)
    assert good.outcome().unwrap() == 0.5
    outcome = bad.outcome(timeout=TIMEOUT_S)
    assert (outcome.status, outcome.is_ok, outcome.value) == ("failed", False, None)
    with pytest.raises(ZeroDivisionError):
        outcome.unwrap()
    with pytest.raises(WaitTimeoutError):
        gone.outcome(timeout=0.01)
    gone.cancel()
    assert gone.outcome(timeout=TIMEOUT_S).status == "cancelled"


class Items:
    """Counts how many were drawn."""

    def __init__(self, count: int) -> None:
        self._numbers = iter(range(count))
        self.drawn = 0

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        number = next(self._numbers)
        self.drawn += 1
        return number


def test_no_more_calls_are_queued_than_was_said(own: Pymonik):
    items = Items(40)
    ahead: list[int] = []
    for ended, handle in enumerate(as_completed(double.map_invoke(items, max_queued=5))):
        handle.get()
        ahead.append(items.drawn - ended)
    assert items.drawn == 40
    assert len(ahead) == 40
    # Calls that have ended and wait to be consumed make room for others.
    with Pymonik(own.endpoint, on_unseen="ignore") as other:
        blocked = Items(40)
        handles = waits.map_invoke(blocked_items(blocked), max_queued=5)
        with pytest.raises(WaitTimeoutError):
            handles._drawn[0].wait(timeout=0.3)
        assert blocked.drawn == 5
        other.cancel()


def blocked_items(items: Items) -> Iterator[tuple[()]]:
    for _ in items:
        yield ()


def test_values_of_a_bounded_map_are_all_there_in_order(own: Pymonik):
    assert double.map_invoke(range(30), max_queued=4).get(timeout=TIMEOUT_S) == [
        2 * n for n in range(30)
    ]
    assert double.map_invoke([1, 2], max_queued=4).get(timeout=TIMEOUT_S) == [2, 4]
    assert len(double.map_invoke(iter(range(9)), max_queued=2)) == 9
    assert double.map_invoke([], max_queued=2).get() == []

    async def awaited() -> set[int]:
        handles = double.map_invoke(iter(range(20)), max_queued=3)
        return {handle.get() async for handle in as_completed(handles)}

    assert asyncio.run(awaited()) == {2 * n for n in range(20)}


def test_the_end_of_the_session_submits_what_is_left(cluster: LocalCluster):
    items = Items(20)
    with Pymonik(cluster):
        handles = double.map_invoke(items, max_queued=3)
    assert items.drawn == 20
    assert handles.get() == [2 * n for n in range(20)]


@pytest.mark.parametrize("how", ["kill", "cancel"])
def test_a_bounded_map_ends_with_the_other_side(how: str) -> None:
    with LocalCluster(workers=1) as cluster:
        client = Pymonik(cluster, on_unseen="ignore").create()
        handles = waits.map_invoke(iter([()] * 9), pymonik=client, max_queued=2)
        gone: list[BaseException | None] = []

        def read() -> None:
            try:
                len(handles)  # draws all, for which calls have to end
            except PymonikError as error:
                gone.append(error)
            else:
                gone.append(handles.exceptions()[0])

        reader = threading.Thread(target=read)
        reader.start()
        if how == "kill":
            psutil.Process(cluster.pid).kill()
        else:
            client.cancel()
        reader.join(TIMEOUT_S)
        assert not reader.is_alive()
        assert isinstance(gone[0], PymonikError)
        client.close(wait=False)


def test_an_item_that_is_wrong_is_told_behind_those_before_it(own: Pymonik):
    items = iter([1, 2, 3, 4, (5, 6), 7])
    handles = double.map_invoke(items, max_queued=2)
    values: list[int] = []
    with pytest.raises(ArgumentsError, match="item 4"):
        values.extend(handle.get() for handle in as_completed(handles, timeout=TIMEOUT_S))
    assert sorted(values) == [2, 4, 6, 8]
    with pytest.raises(ArgumentsError, match="item 0"):
        double.map_invoke([(1, 2)], max_queued=2)


@pytest.mark.parametrize("wrong", [0, -1, "5", 1.5, True])
def test_what_is_no_number_of_calls_is_refused(own: Pymonik, wrong: Any):
    with pytest.raises(UsageError, match="max_queued"):
        double.map_invoke([1], max_queued=wrong)
