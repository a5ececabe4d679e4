"""`RemoteSession` against the embedded control plane, over real gRPC."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any

import pytest

from pymonik.code import codec, packed_function
from pymonik.errors import (
    DependencyFailedError,
    SessionClosedError,
    TaskCancelledError,
    TaskFailedError,
    UnavailableError,
    UsageError,
    WaitTimeoutError,
)
from pymonik.session.protocol import Submission

WAIT_S = 20.0


def add(a: int, b: int) -> int:
    return a + b


def fail(text: str) -> None:
    raise ValueError(text)


def test_a_call_goes_there_and_its_value_comes_back(cluster: Any, connect: Any) -> None:
    cluster.start_runner()
    one = connect()
    assert one.get(one.invoke(add, 1, 2)) == 3


def test_calls_that_depend_on_each_other_leave_in_one_batch(
    cluster: Any, connect: Any, handle: Any
) -> None:
    cluster.start_runner()
    one = connect()
    state = one.invoke(add, 0, 1)
    for _ in range(20):
        state = one.invoke(add, handle(state), 1)
    assert one.get(state) == 21
    assert cluster.counter.calls["SubmitTasks"] <= 3


def test_ten_thousand_calls_are_tens_of_requests(cluster: Any, connect: Any) -> None:
    one = connect()
    packed = packed_function.pack_function(add, "add")
    states = [
        one.session.submit(Submission(packed, [codec.pack_call((i, i), {})]))[0]
        for i in range(10_000)
    ]
    one.session.send()
    assert sum(cluster.counter.calls.values()) < 100
    assert len({state.task_id for state in states}) == 10_000


def sent_since(before: Counter[str], cluster: Any) -> dict[str, int]:
    """Requests by name, but for that of the stream: it is made whenever its thread runs."""
    sent = dict(cluster.counter.calls - before)
    return {name: number for name, number in sent.items() if name not in ("GetEvents", "Results")}


def test_calls_one_by_one_cost_three_requests_each_or_one(cluster: Any, connect: Any) -> None:
    cluster.start_runner()
    one = connect(storage_folder=cluster.storage_folder)
    for number in range(3):  # the function is uploaded
        assert one.get(one.invoke(add, number, 1)) == number + 1
    before = cluster.counter.calls.copy()
    for number in range(10):
        one.session.wait([one.invoke(add, number, 1)], WAIT_S)
    payloads = {} if cluster.is_direct else {"CreateResults": 10, "CreateResultsMetaData": 10}
    assert sent_since(before, cluster) == {**payloads, "SubmitTasks": 10}


def test_small_values_come_back_many_in_one_request(cluster: Any, connect: Any) -> None:
    one = connect(storage_folder=cluster.storage_folder)
    values = list(range(100))
    states = one.session.put([codec.pack(value) for value in values], ["value"] * 100)
    before = cluster.counter.calls.copy()
    assert [result.value() for result in one.session.fetch(states)] == values
    if cluster.is_direct:
        assert sent_since(before, cluster) == {"SmallData": 1}


def test_the_exception_of_a_task_comes_back_as_it_was(cluster: Any, connect: Any) -> None:
    cluster.start_runner()
    one = connect()
    with pytest.raises(ValueError, match="wrong") as raised:
        one.get(one.invoke(fail, "wrong"))
    assert isinstance(raised.value.__cause__, TaskFailedError)
    assert "in fail" in raised.value.__cause__.remote_traceback


def test_a_task_whose_dependency_failed_names_it(cluster: Any, connect: Any, handle: Any) -> None:
    cluster.held.clear()
    cluster.start_runner()
    one = connect()
    first = one.invoke(fail, "wrong")
    second = one.invoke(add, handle(first), 1)
    one.session.send()
    cluster.held.set()
    with pytest.raises(DependencyFailedError, match="ValueError") as raised:
        one.get(second)
    assert isinstance(raised.value.__cause__, ValueError)


def test_a_call_on_a_result_that_has_failed_fails_alone(
    cluster: Any, connect: Any, handle: Any
) -> None:
    cluster.start_runner()
    one = connect()
    first = one.invoke(fail, "wrong")
    one.session.wait([first], WAIT_S)
    second, third = one.invoke(add, handle(first), 1), one.invoke(add, 1, 1)
    assert one.get(third) == 2
    with pytest.raises(DependencyFailedError):
        one.get(second)


@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize("size", [10, 100_000, 5_000_000])
def test_values_of_any_size_are_stored_and_fetched(
    cluster: Any, connect: Any, direct: bool, size: int
) -> None:
    one = connect(storage_folder=cluster.storage_folder if direct else None)
    values = [bytes([i]) * size for i in range(3)]
    states = one.session.put([codec.pack(value) for value in values], ["a", "b", "c"])
    assert [result.value() for result in one.session.fetch(states)] == values
    assert not list(cluster.storage_folder.glob(".*"))


def test_with_a_shared_folder_larger_values_are_read_there(cluster: Any, connect: Any) -> None:
    one = connect(storage_folder=cluster.storage_folder)
    values = [bytes(30_000), bytes(300_000), bytes(5_000_000)]
    states = one.session.put([codec.pack(value) for value in values], ["a", "b", "c"])
    before = cluster.counter.calls.copy()
    assert [result.value() for result in one.session.fetch(states)] == values
    assert sent_since(before, cluster) == ({"SmallData": 1} if cluster.is_direct else {})


def test_large_values_are_moved_side_by_side(
    cluster: Any, connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = connect()
    values = [bytes([n]) * 2_000_000 for n in range(4)]
    together = threading.Barrier(len(values))
    plain = {name: getattr(cluster.control_plane, name) for name in ("upload", "download")}

    def held(name: str) -> Any:
        def wait_and_call(*args: Any) -> Any:
            together.wait(WAIT_S)
            return plain[name](*args)

        return wait_and_call

    for name in plain:
        monkeypatch.setattr(cluster.control_plane, name, held(name))
    states = one.session.put([codec.pack(value) for value in values], list("abcd"))
    assert [result.value() for result in one.session.fetch(states)] == values


def test_without_one_every_byte_goes_through_requests(cluster: Any, connect: Any) -> None:
    one = connect()
    values = [bytes(10), bytes(300_000), bytes(5_000_000)]
    states = one.session.put([codec.pack(value) for value in values], ["a", "b", "c"])
    assert [result.value() for result in one.session.fetch(states)] == values
    assert cluster.counter.calls["ImportResultsData"] == 0
    assert cluster.counter.calls["UploadResultData"] == 1
    assert cluster.counter.calls["DownloadResultData"] == len(values)


def test_a_refused_batch_fails_its_handles(cluster: Any, connect: Any) -> None:
    one = connect()
    cluster.allow_priority(5)
    with pytest.raises(Exception, match="Max priority"):
        one.get(one.invoke(add, 1, 2, priority=9))


def test_a_task_that_needs_a_refused_one_does_not_wait_for_ever(
    cluster: Any, connect: Any, handle: Any
) -> None:
    cluster.start_runner()
    one = connect()
    cluster.allow_priority(5)
    one.invoke(add, 1, 1)  # its options lead the batch, so the refused call is submitted last
    refused = one.invoke(add, 1, 2, priority=9)
    needy = one.invoke(add, handle(refused), 1)
    with pytest.raises(DependencyFailedError):
        one.get(needy)


def test_cancelled_tasks_say_so(cluster: Any, connect: Any) -> None:
    one = connect()  # no runner: they stay queued
    states = [one.invoke(add, i, i) for i in range(3)]
    one.session.cancel(states)
    with pytest.raises(TaskCancelledError):
        one.get(states[2])


def test_a_cancelled_session_ends_what_is_pending(cluster: Any, connect: Any) -> None:
    one = connect()
    state = one.invoke(add, 1, 2)
    one.session.cancel_all()
    with pytest.raises(TaskCancelledError):
        one.get(state)


def test_a_closed_session_takes_no_calls_but_gives_what_it_has(cluster: Any, connect: Any) -> None:
    cluster.start_runner()
    one = connect()
    state = one.invoke(add, 1, 2)
    one.session.wait_for_all()
    one.session.close()
    one.session.close()
    with pytest.raises(SessionClosedError, match="Pymonik"):
        one.invoke(add, 1, 2)
    assert one.get(state) == 3


def test_a_session_closed_by_somebody_else_says_so(cluster: Any, connect: Any) -> None:
    one = connect()
    one.plane.close_session(one.session.session_id)
    with pytest.raises(SessionClosedError):
        one.get(one.invoke(add, 1, 2))


def test_a_stream_that_was_cut_is_replaced(cluster: Any, connect: Any) -> None:
    cluster.held.clear()
    cluster.start_runner()
    one = connect()
    states = [one.invoke(add, i, i) for i in range(50)]
    one.session.send()
    cluster.stop_server()
    cluster.held.set()  # they end while nobody listens
    cluster.start_server()
    one.session.wait(states, WAIT_S)
    assert one.get(states[49]) == 98


def test_what_is_pending_outlives_the_server(cluster: Any, connect: Any) -> None:
    one = connect(patience_s=0.1)
    state = one.invoke(add, 1, 2)
    one.session.send()
    cluster.stop_server()
    with pytest.raises(WaitTimeoutError):
        one.session.wait([state], 1.0)
    cluster.start_server()
    cluster.start_runner()
    assert one.get(state) == 3


def test_a_call_made_while_the_server_is_away_is_sent_later(cluster: Any, connect: Any) -> None:
    cluster.start_runner()
    one = connect()
    assert one.get(one.invoke(add, 1, 1)) == 2
    cluster.stop_server()
    state = one.invoke(add, 1, 2)
    with pytest.raises(WaitTimeoutError):
        one.session.wait([state], 0.3)
    cluster.start_server()
    assert one.get(state) == 3


def test_a_dead_embedded_cluster_is_not_waited_for(cluster: Any, connect: Any) -> None:
    one = connect(patience_s=3600.0, is_alive=lambda: False)
    state = one.invoke(add, 1, 2)
    one.session.send()
    cluster.stop_server()
    with pytest.raises(UnavailableError, match="has ended"):
        one.get(state)


def test_polling_needs_no_stream(cluster: Any, connect: Any) -> None:
    cluster.start_runner()
    one = connect(polling_s=0.05)
    assert one.get(one.invoke(add, 1, 2)) == 3
    assert cluster.counter.calls["GetEvents"] == 0


def test_delegation_and_unknown_partitions_are_refused_at_once(cluster: Any, connect: Any) -> None:
    one = connect()
    with pytest.raises(UsageError, match="partition 'nowhere'"):
        one.invoke(add, 1, 2, partition_id="nowhere")


def test_no_thread_is_left(cluster: Any, connect: Any) -> None:
    before = set(threading.enumerate())  # of tests that leave clients behind on purpose
    one = connect()
    state = one.invoke(add, 1, 2)
    one.close()
    one.session.wait([state], WAIT_S)
    end = time.monotonic() + WAIT_S
    while left := [one.name for one in set(threading.enumerate()) - before if _is_ours(one)]:
        assert time.monotonic() < end, left
        time.sleep(0.05)


def _is_ours(thread: threading.Thread) -> bool:
    return thread.name.startswith("pymonik-")
