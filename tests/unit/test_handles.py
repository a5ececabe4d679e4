"""Handles: values, failures, waiting."""

from __future__ import annotations

import asyncio
import pickle
import sys
import threading
import traceback

import pytest

from pymonik import (
    MultiResultHandle,
    ResultHandle,
    Task,
    TaskFailedError,
    UsageError,
    WaitTimeoutError,
    as_completed,
)
from pymonik.code import codec
from pymonik.session.result import ResultState
from pymonik.wire import containers
from pymonik.wire.call import ItemMeta, ResultMeta
from tests.fakes import FakeSession, active

same = Task(lambda x: x, func_name="same")


@Task
def fail(text):
    raise KeyError(text)


@pytest.fixture
def session():
    session = FakeSession()
    with active(session):
        yield session


@pytest.fixture
def lazy():
    session = FakeSession("lazy", lazy=True)
    with active(session):
        yield session


def test_a_value_is_fetched_once(session):
    handle = same.invoke([1])
    assert handle.wait() is handle
    assert handle.get() is handle.result()
    assert session.fetched == [handle.result_id]


def test_a_failure_is_the_original_exception_with_the_traceback_of_the_task(session):
    handle = fail.invoke("x")
    with pytest.raises(KeyError, match="x") as caught:
        handle.get()
    assert isinstance(caught.value.__cause__, TaskFailedError)
    assert "KeyError" in caught.value.__cause__.remote_traceback
    with pytest.raises(KeyError):
        handle.wait()
    assert handle.exception() is caught.value
    assert same.invoke(1).exception() is None


def test_a_failure_that_is_raised_often_keeps_a_short_traceback(session):
    handle = fail.invoke("x")
    lengths: set[int] = set()
    for _ in range(20):
        with pytest.raises(KeyError) as caught:
            handle.get()
        lengths.add(len(traceback.extract_tb(caught.value.__traceback__)))
    assert len(lengths) == 1


def test_a_wait_has_an_end(lazy):
    handle = same.invoke(1)
    assert not handle.done()
    with pytest.raises(WaitTimeoutError):
        handle.wait(0)
    with pytest.raises(TimeoutError):
        MultiResultHandle([handle]).result(timeout=0.001)
    lazy.run_all()
    assert handle.done()
    assert handle.get() == 1


def test_handles_are_arguments_at_any_depth(session):
    one, two = same.invoke(1), same.invoke(2)
    assert same.invoke({"a": [one, (two,)]}).get() == {"a": [1, (2,)]}
    assert same.invoke(MultiResultHandle([one, two])).get() == [1, 2]
    assert same.invoke(MultiResultHandle()).get() == []


def test_a_task_cannot_wait(session):
    def impatient():
        return ResultHandle(ResultState(session_of_task(), "x", "id")).get()

    def session_of_task():
        from pymonik.session.current import current_session

        return current_session()

    with pytest.raises(UsageError, match="wait"):
        Task(impatient).invoke().get()


def test_callbacks_get_the_handle_and_do_no_harm(lazy, caplog):
    handle = same.invoke(1)
    seen: list[object] = []
    handle.add_done_callback(lambda h: 1 / 0)
    handle.add_done_callback(seen.append)
    assert not seen
    lazy.run_all()
    lazy.wait_for_callbacks()
    assert seen == [handle]
    assert "ZeroDivisionError" in caplog.text


def test_a_callback_that_exits_keeps_nobody_waiting(lazy, caplog):
    handle = same.invoke(1)
    seen: list[object] = []
    handle.add_done_callback(lambda h: sys.exit(1))
    handle.add_done_callback(seen.append)
    lazy.run_all()
    lazy.wait_for_callbacks()
    assert seen == [handle]
    assert "SystemExit" in caplog.text


def test_await_gives_the_value_while_another_thread_ends_it(lazy):
    handle, failing = same.invoke(1), fail.invoke("x")
    group = same.map_invoke([1, 2])

    async def main():
        threading.Thread(target=lazy.run_all, name="runner").start()
        assert await group == [1, 2]
        with pytest.raises(KeyError):
            await failing
        return await handle

    assert asyncio.run(main()) == 1


def test_as_completed_gives_the_handles_as_they_end(lazy):
    group = same.map_invoke([1, 2, 3])
    group[2]._state.fail(ValueError())
    ended = as_completed(group, timeout=0)
    assert next(ended) is group[2]
    with pytest.raises(WaitTimeoutError):
        next(ended)
    lazy.run_all()
    assert [h.get() for h in group[:2].as_completed()] == [1, 2]
    assert list(as_completed([])) == []


def test_a_group_is_a_sequence(session):
    group = same.map_invoke([1, 2, 3])
    assert len(group) == 3
    assert group[0].get() == 1
    assert isinstance(group[1:], MultiResultHandle)
    assert group[1:].get() == [2, 3]
    assert (group + [same.invoke(4)]).get() == [1, 2, 3, 4]  # noqa: RUF005 - what is tested
    empty: MultiResultHandle[int] = MultiResultHandle()
    assert empty.wait().get() == []
    empty.append(group[0])
    assert empty.wait().get() == [1]
    with pytest.raises(UsageError):
        empty.append(1)  # type: ignore[arg-type]


def test_a_group_is_fetched_in_one_request_per_session(session):
    other = FakeSession("other")
    group = same.map_invoke([1, 2]) + same.map_invoke([3], pymonik=other)
    assert group.get() == [1, 2, 3]
    assert session.fetches == other.fetches == 1


def test_values_are_fetched_while_others_are_computed(lazy, monkeypatch):
    monkeypatch.setattr("pymonik.handles.multi_result_handle._LOADED_TOGETHER", 2)
    wait, known = lazy.wait, []

    def run_two_and_wait(states, timeout, **settings):
        known.append(list(lazy.fetched))
        for _ in range(2):
            lazy._run(*lazy._queue.pop(0))
        wait(states, timeout, **settings)

    monkeypatch.setattr(lazy, "wait", run_two_and_wait)
    group = same.map_invoke([1, 2, 3, 4])
    ids = [handle.result_id for handle in group]
    assert group.get() == [1, 2, 3, 4]
    assert known == [[], ids[:2]]
    assert lazy.fetched == ids


def test_a_group_raises_as_soon_as_one_has_failed(lazy):
    group = same.map_invoke([1]) + fail.map_invoke(["x"]) + same.map_invoke([2])
    failing = threading.Timer(0.1, lambda: lazy._run(*lazy._queue.pop(1)))
    failing.start()
    with pytest.raises(KeyError, match="x"):
        group.get(timeout=20)
    failing.join()
    assert group.counts == {"ok": 0, "failed": 1, "cancelled": 0, "pending": 2}
    assert "1 failed, 2 pending" in repr(group)
    with pytest.raises(KeyError, match="x"):
        group.wait(timeout=20)


def test_a_failure_far_behind_is_noticed_too(lazy, monkeypatch):
    monkeypatch.setattr("pymonik.handles.multi_result_handle._LOADED_TOGETHER", 1)
    monkeypatch.setattr("pymonik.runs.waiting.QUIET_S", 0.01)
    group = same.map_invoke([1, 2]) + fail.map_invoke(["x"])
    failing = threading.Timer(0.2, lambda: lazy._run(*lazy._queue.pop()))
    failing.start()
    with pytest.raises(KeyError, match="x"):
        group.get()
    failing.join()


def test_a_group_gives_errors_in_the_place_of_values(session):
    group = same.map_invoke([1]) + fail.map_invoke(["x"]) + same.map_invoke([2])
    first, error, last = group.get(return_exceptions=True)
    assert (first, type(error), last) == (1, KeyError, 2)
    assert group.wait(return_exceptions=True) is group


def test_a_handle_is_no_truth_value(session):
    with pytest.raises(TypeError, match=r"handle\.done"):
        bool(same.invoke(1))
    with pytest.raises(TypeError):
        assert same.invoke(1)


def test_a_group_tells_all_failures(session):
    group = same.map_invoke([1]) + fail.map_invoke(["x"])
    assert [type(error) for error in group.exceptions()] == [type(None), KeyError]
    with pytest.raises(KeyError):
        group.get()


def test_cancel_asks_for_what_did_not_end(lazy):
    group = same.map_invoke([1, 2])
    group[0]._state.fail(ValueError())
    group.cancel()
    group[0].cancel()
    assert lazy.cancelled == [group[1]._state]


def test_items_of_a_chunk_have_their_values_in_one_result(session):
    whole = session._new_state("chunk")
    packed = [codec.pack(value) for value in ("first", [2])]
    meta = ResultMeta(items=tuple(ItemMeta(len(one.blobs)) for one in packed), chunked=True)
    session.store(
        whole, b"".join(containers.join(meta, [blob for p in packed for blob in p.blobs]))
    )
    states = [ResultState(session, "chunk", whole.result_id, item) for item in range(2)]
    for state in states:
        state.complete()
    group: MultiResultHandle[object] = MultiResultHandle(map(ResultHandle, states))
    assert group.get() == ["first", [2]]
    assert repr(group[1]) == f"<ResultHandle chunk {whole.result_id} ok>"
    assert same.invoke(group[1]).get() == [2]


def test_a_pickled_handle_finds_its_session_again(session):
    data = pickle.dumps(same.invoke(5))
    assert pickle.loads(data).get() == 5
    with active(FakeSession("another")):
        stray = pickle.loads(data)
        assert stray.result_id == "result-0"
        with pytest.raises(UsageError, match="session"):
            stray.get()


def test_the_first_of_several_failures_says_how_many_others_there_are(session):
    several = fail.map_invoke(["a", "b", "c"])
    with pytest.raises(KeyError) as caught:
        several.get()
    (note,) = caught.value.__notes__
    assert note == "2 more failed"
