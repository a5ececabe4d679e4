"""Which session a call belongs to, in threads, callbacks and coroutines; how a client ends."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from pymonik import (
    LocalCluster,
    Pymonik,
    SessionClosedError,
    UsageError,
    get_context,
    task,
)
from pymonik.session import own_threads

if TYPE_CHECKING:
    from collections.abc import Iterator

WAIT_S = 30.0


@task
def where() -> str:
    return get_context().session_id


@task
def fail(number: int) -> int:
    raise ValueError(f"not {number}")


@task
def same(number: int) -> int:
    return number


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(workers=2) as one:
        yield one


def unseen(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was said of failures that nobody looked at."""
    return [record.getMessage() for record in caplog.records if record.name == "pymonik"]


def called_from_a_thread() -> str:
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(lambda: where.invoke().get(timeout=WAIT_S)).result()


def test_threads_use_the_newest_session_without_a_word(cluster: LocalCluster) -> None:
    with Pymonik(cluster) as client:
        assert called_from_a_thread() == client.session_id


def test_a_finalizer_in_one_of_our_threads_submits_and_is_refused_to_wait(
    cluster: LocalCluster,
) -> None:
    found: list[object] = []

    def finalize() -> None:
        own_threads.mark()
        handle = where.invoke()
        found.append(handle)
        try:
            handle.get()
        except UsageError as error:
            found.append(error)

    with Pymonik(cluster.endpoint) as client:
        thread = threading.Thread(target=finalize)
        thread.start()
        thread.join(WAIT_S)
        handle, error = found
        assert "cannot wait" in str(error)
        assert handle.get(timeout=WAIT_S) == client.session_id  # type: ignore[attr-defined]


def test_what_is_left_of_an_iterator_at_the_end_of_a_block_can_be_read_after_it(
    cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pymonik.tasks.mapping.DRAWN_AT_FIRST", 10)
    with Pymonik(cluster):
        read = same.map_invoke(iter(range(50)))
        consumed = same.map_invoke(iter(range(50))).as_completed()
        first = next(consumed).get()
    assert read.get() == list(range(50))
    assert sorted([first, *(handle.get() for handle in consumed)]) == list(range(50))


def test_a_callback_may_invoke_and_wait(cluster: LocalCluster) -> None:
    got: list[str] = []
    called = threading.Event()
    with Pymonik(cluster) as client:

        def then(_: object) -> None:
            got.append(where.invoke().get(timeout=WAIT_S))
            called.set()

        where.invoke().add_done_callback(then)
        assert called.wait(WAIT_S)
        assert got == [client.session_id]


def test_a_callback_that_blocks_blocks_callbacks_only(cluster: LocalCluster) -> None:
    go_on, blocks = threading.Event(), threading.Event()
    with Pymonik(cluster):

        def block(_: object) -> None:
            blocks.set()
            go_on.wait(WAIT_S)

        where.invoke().add_done_callback(block)
        assert blocks.wait(WAIT_S)

        async def wait() -> str:
            return await where.invoke()

        try:
            assert where.invoke().get(timeout=WAIT_S)
            assert asyncio.run(asyncio.wait_for(wait(), WAIT_S))
        finally:
            go_on.set()


def test_a_block_goes_first_in_its_own_context(cluster: LocalCluster) -> None:
    with Pymonik(cluster) as around:
        newer = Pymonik(cluster).create()
        assert where.invoke().get(timeout=WAIT_S) == around.session_id
        assert called_from_a_thread() == newer.session_id
        newer.close()


def test_a_block_within_a_block_of_the_same_client_leaves_the_outer_one_open(
    cluster: LocalCluster,
) -> None:
    with Pymonik(cluster) as around:
        client = Pymonik(cluster)
        with client:
            with pytest.raises(ZeroDivisionError), client:
                raise ZeroDivisionError
            assert where.invoke().get(timeout=WAIT_S) == client.session_id
        with pytest.raises(SessionClosedError):
            client.put(1)
        assert where.invoke().get(timeout=WAIT_S) == around.session_id


def test_a_client_that_is_closed_inside_two_of_its_blocks_has_left_both(
    cluster: LocalCluster,
) -> None:
    with Pymonik(cluster) as around:
        client = Pymonik(cluster)
        with client, client:
            client.close()
            assert where.invoke().get(timeout=WAIT_S) == around.session_id
        assert where.invoke().get(timeout=WAIT_S) == around.session_id


def test_closing_the_newest_brings_no_older_one_back_silently(cluster: LocalCluster) -> None:
    older = Pymonik(cluster).create()
    newer = Pymonik(cluster).create()
    newer_id = newer.session_id
    newer.close()
    with pytest.raises(UsageError, match=newer_id):
        where.invoke()
    assert where.invoke(pymonik=older).get(timeout=WAIT_S) == older.session_id
    older.create()
    assert where.invoke().get(timeout=WAIT_S) == older.session_id
    older.close()
    with pytest.raises(UsageError, match="no active session"):
        where.invoke()


def test_a_client_that_is_made_anew_closes_the_one_before(
    cluster: LocalCluster, caplog: pytest.LogCaptureFixture
) -> None:
    client = Pymonik(cluster).create()
    handle = where.invoke()
    client = Pymonik(cluster).create()  # as when the cell of a notebook is run again
    gc.collect()
    ran_in = handle.get(timeout=WAIT_S)  # an assertion would keep what it looks at
    assert ran_in != client.session_id
    assert "nothing refers to its client" not in caplog.text
    del handle
    end = time.monotonic() + WAIT_S
    while "nothing refers to its client" not in caplog.text:
        assert time.monotonic() < end
        gc.collect()
        time.sleep(0.01)
    client.close()


def test_async_with_opens_and_closes(cluster: LocalCluster) -> None:
    async def main() -> None:
        async with Pymonik(cluster) as client:
            assert await where.invoke() == client.session_id
        with pytest.raises(UsageError):
            where.invoke()

    asyncio.run(main())


def test_failures_that_nobody_looked_at_are_told_once_for_each_function(
    cluster: LocalCluster, caplog: pytest.LogCaptureFixture
) -> None:
    with Pymonik(cluster):
        handles = fail.map_invoke(range(5))
        handles[0].exception()
    lines = unseen(caplog)
    assert len(lines) == 1
    assert "4 calls of fail failed" in lines[0]
    assert "ValueError: not" in lines[0]


def test_failures_that_were_looked_at_are_not_told(
    cluster: LocalCluster, caplog: pytest.LogCaptureFixture
) -> None:
    with Pymonik(cluster):
        fail.map_invoke(range(5)).exceptions()
    assert not unseen(caplog)


def test_unseen_failures_are_raised_where_that_is_wanted(cluster: LocalCluster) -> None:
    with pytest.raises(ValueError, match="not 3"), Pymonik(cluster, on_unseen="raise"):
        fail.invoke(3)
    with Pymonik(cluster, on_unseen="ignore"):
        fail.invoke(3)
