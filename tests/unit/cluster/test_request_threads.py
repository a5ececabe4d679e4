"""The threads of the server: made when needed, ended when not."""

from __future__ import annotations

import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

from pymonik.cluster.services import request_threads
from pymonik.cluster.services.request_threads import RequestThreads

WAIT_S = 20.0


def test_all_calls_run_at_once_up_to_the_bound() -> None:
    pool = RequestThreads(8)
    barrier = threading.Barrier(8)
    futures = [pool.submit(barrier.wait, WAIT_S) for _ in range(16)]  # two rounds of eight
    assert sorted(one.result(WAIT_S) for one in futures) == sorted([*range(8), *range(8)])
    assert pool._threads == 8


def test_calls_past_the_bound_wait_for_a_thread() -> None:
    pool = RequestThreads(2)
    go_on = threading.Event()
    held = [pool.submit(go_on.wait, WAIT_S) for _ in range(2)]
    waiting = [pool.submit(threading.current_thread) for _ in range(4)]
    assert not any(one.done() for one in waiting)
    go_on.set()
    assert all(one.result(WAIT_S) for one in held)
    assert len({one.result(WAIT_S) for one in waiting}) <= 2


def test_a_thread_that_is_free_is_used_again() -> None:
    pool = RequestThreads(8)
    first = pool.submit(threading.current_thread).result(WAIT_S)
    assert first is not threading.current_thread()
    while pool._spare < 1:  # it has told the value, and is about to wait for more
        pass
    assert pool.submit(threading.current_thread).result(WAIT_S) is first


def test_threads_end_when_there_is_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_threads, "IDLE_S", 0.01)
    pool = RequestThreads(8)
    barrier = threading.Barrier(4)

    def call() -> threading.Thread:
        barrier.wait(WAIT_S)
        return threading.current_thread()

    used = [one.result(WAIT_S) for one in [pool.submit(call) for _ in range(4)]]
    for thread in used:
        thread.join(WAIT_S)
        assert not thread.is_alive()
    assert (pool._threads, pool._spare) == (0, 0)
    assert pool.submit(lambda: 1).result(WAIT_S) == 1


def test_no_call_is_lost_when_threads_end_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_threads, "IDLE_S", 0.0)
    pool = RequestThreads(3)

    def calls(number: int) -> list[int]:
        return [pool.submit(lambda: number).result(WAIT_S) for _ in range(300)]

    with ThreadPoolExecutor(4) as callers:
        assert list(callers.map(calls, range(4))) == [[number] * 300 for number in range(4)]


def test_an_error_is_the_callers() -> None:
    pool = RequestThreads(1)
    with pytest.raises(ZeroDivisionError):
        pool.submit(lambda: 1 / 0).result(WAIT_S)
    assert pool.submit(lambda: 1).result(WAIT_S) == 1


def test_a_thread_that_waits_keeps_nothing_of_its_last_call() -> None:
    class Request:
        pass

    pool = RequestThreads(1)
    request = Request()
    gone = weakref.ref(request)
    pool.submit(lambda _: None, request)
    del request
    assert pool.submit(gone).result(WAIT_S) is None
