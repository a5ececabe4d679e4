"""What the direct socket tells of many results at once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from pymonik.cluster.services.embedded import MOST_TOLD
from pymonik.code import codec, opened_result
from pymonik.errors import ControlPlaneError
from pymonik.options import TaskOptions
from pymonik.transport.messages import NewTask
from pymonik.wire.embedded import COMPLETED, RESULTS, SMALL_DATA, Ended, ended_decoder

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.parametrize("cluster", ["direct"], indirect=True)

WAIT_S = 20.0


def repeat(text: str, times: int) -> str:
    return text * times


def test_the_value_of_a_call_comes_with_the_news_of_its_end(
    cluster: Any, connect: Callable[..., Any]
) -> None:
    cluster.start_runner()
    one = connect(storage_folder=cluster.storage_folder)
    end = time.monotonic() + WAIT_S

    def was_asked_for() -> bool:
        before = cluster.counter.calls["SmallData"]
        assert one.get(one.invoke(repeat, "ab", 2)) == "abab"
        return bool(cluster.counter.calls["SmallData"] > before)

    while was_asked_for():  # until the stream is up, ends are found in lists
        assert time.monotonic() < end


def test_a_value_that_is_not_so_small_is_asked_for(
    cluster: Any, connect: Callable[..., Any]
) -> None:
    cluster.start_runner()
    one = connect(storage_folder=cluster.storage_folder)
    assert one.get(one.invoke(repeat, "a", MOST_TOLD)) == "a" * MOST_TOLD
    assert cluster.counter.calls["SmallData"] == 1


def test_many_results_are_told_of_together(cluster: Any, connect: Callable[..., Any]) -> None:
    one = connect(storage_folder=cluster.storage_folder)
    states = [one.invoke(repeat, "a", number) for number in range(200)]
    one.session.send()
    stream = one.channel.unary_stream(RESULTS)(msgspec.msgpack.encode(one.session.session_id))
    stream.initial_metadata()
    cluster.start_runner()
    pending = {state.result_id for state in states}
    messages = 0
    for message in stream:
        messages += 1
        for ended in ended_decoder.decode(message):
            assert ended == Ended(ended.result_id, COMPLETED, ended.data)
            assert ended.data is not None
            pending.discard(ended.result_id)
        if not pending:
            break
    stream.cancel()
    assert messages < 200


def test_small_data_are_given_in_order_and_nothing_for_the_rest(
    cluster: Any, connect: Callable[..., Any]
) -> None:
    one = connect(storage_folder=cluster.storage_folder)
    values = [b"small", bytes(100_000)]
    states = one.session.put([codec.pack(value) for value in values], ["small", "large"])
    pending = one.invoke(repeat, "a", 1)
    one.session.send()
    ids = ["unknown", *(state.result_id for state in states), pending.result_id]
    answer = one.channel.unary_unary(SMALL_DATA)(msgspec.msgpack.encode(ids))
    unknown, small, large, not_there = msgspec.msgpack.decode(answer)
    assert (unknown, large, not_there) == (None, None, None)
    assert opened_result.OpenedResult(bytearray(small)).value() == b"small"


def objects_of(cluster: Any) -> set[str]:
    storage = cluster.control_plane._storage
    files = {path.name for path in storage.folder.iterdir() if path.is_file()}
    return files | set(storage._held)


def test_a_refused_submission_leaves_no_payload(cluster: Any, connect: Callable[..., Any]) -> None:
    one = connect(storage_folder=cluster.storage_folder)
    one.invoke(repeat, "a", 1)  # the function is there
    one.session.send()
    with cluster.control_plane.reading() as state:
        before = set(state.results)
    stored = objects_of(cluster)
    task = NewTask(b"payload", "output", ["unknown"])
    with pytest.raises(ControlPlaneError, match="Some dependencies"):
        one.plane.submit_tasks(one.session.session_id, TaskOptions(), [task])
    with cluster.control_plane.reading() as state:
        assert set(state.results) == before
    assert objects_of(cluster) == stored


def test_a_session_that_has_ended_keeps_no_connection(
    cluster: Any, connect: Callable[..., Any]
) -> None:
    cluster.start_runner()
    one = connect(storage_folder=cluster.storage_folder)
    state = one.invoke(repeat, "a", 2000)
    one.session.wait([state], WAIT_S)
    one.session.close()
    end = time.monotonic() + WAIT_S
    while cluster._direct._connections:  # their threads end when they notice
        assert time.monotonic() < end
        time.sleep(0.01)
    assert one.get(state) == "a" * 2000
