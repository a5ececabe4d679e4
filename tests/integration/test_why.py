"""Reasons why calls have not ended, each made to happen on an embedded cluster."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from pymonik import LocalCluster, Pymonik, ResultHandle, get_context, task
from pymonik.runs.looking import why, why_session
from pymonik.transport.channel import open_channel
from pymonik.transport.config import ClusterConfig
from pymonik.transport.listing import Listing

if TYPE_CHECKING:
    from pymonik.runs.rows import TaskRow

TIMEOUT_S = 30


@task
def inc(number: int) -> int:
    return number + 1


@task
def stay(_: object = None) -> None:
    threading.Event().wait()


@task(retry_on=OSError)
def stay_at_second() -> None:
    if get_context().attempt == 1:
        raise OSError("the disk is full")
    threading.Event().wait()


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(partitions={"cpu": 1, "gpu": 0}) as started:
        yield started


@pytest.fixture
def client(cluster: LocalCluster) -> Iterator[Pymonik]:
    client = Pymonik(cluster, partition=["cpu", "gpu"]).create()
    yield client
    client.cancel()


@pytest.fixture
def lists(cluster: LocalCluster) -> Iterator[Listing]:
    channel = open_channel(ClusterConfig(cluster.endpoint))
    yield Listing(channel)
    channel.close()


@pytest.fixture
def explained(client: Pymonik, lists: Listing) -> Callable[[ResultHandle[object]], str]:
    def explain(handle: ResultHandle[object]) -> str:
        waiting = {handle.task_id: 1}
        return str(why(lists, client.session_id, title=handle.name, waiting=waiting))

    return explain


def once(lists: Listing, task_id: str, reached: Callable[[TaskRow], object]) -> None:
    """Wait until the latest attempt at a task is as it should be."""
    end = time.monotonic() + TIMEOUT_S
    while not any(map(reached, lists.tasks(first_ids=[task_id]))):
        assert time.monotonic() < end


Explained = Callable[[ResultHandle[object]], str]


def test_a_partition_without_workers(client: Pymonik, explained: Explained) -> None:
    lost = inc.invoke(1, pmk_partition="gpu")
    text = explained(lost)
    assert 'partition "gpu": 0 pods allowed; last task taken there: never' in text
    assert 'likely: partition "gpu" has no pods' in text


def test_an_argument_that_does_not_come(client: Pymonik, explained: Explained) -> None:
    lost = inc.invoke(1, pmk_partition="gpu")
    behind = inc.invoke(inc.invoke(lost))
    text = explained(behind)
    assert "waits for  inc (task " in text
    assert text.count("which waits for inc") == 1
    assert 'queued: partition "gpu"' in text


def test_a_worker_that_has_something_else_to_do(
    client: Pymonik, lists: Listing, explained: Explained
) -> None:
    busy = stay.invoke()
    once(lists, busy.task_id, lambda row: row.started)
    queued = inc.invoke(1)
    assert "running    stay on " in explained(busy)
    assert "running there: stay for" in explained(queued)
    assert "at most 1 pod;" in explained(queued)


def test_a_second_attempt(client: Pymonik, lists: Listing, explained: Explained) -> None:
    handle = stay_at_second.invoke()
    once(lists, handle.task_id, lambda row: row.attempt == 2 and row.started)
    assert "; attempt 2, the one before: OSError: the disk is full" in explained(handle)


def test_a_session_that_is_paused(client: Pymonik, cluster: LocalCluster, lists: Listing) -> None:
    from armonik.protogen.client.sessions_service_pb2_grpc import SessionsStub
    from armonik.protogen.common.sessions_common_pb2 import PauseSessionRequest

    channel = open_channel(ClusterConfig(cluster.endpoint))
    SessionsStub(channel).PauseSession(PauseSessionRequest(session_id=client.session_id))
    channel.close()
    handle = inc.invoke(1)
    text = str(why(lists, client.session_id, title="inc", waiting={handle.task_id: 1}))
    assert "its session is PAUSED" in text
    assert "the session must be resumed" in text


def test_a_session_as_a_whole(client: Pymonik, lists: Listing) -> None:
    inc.invoke(1).result(timeout=TIMEOUT_S)
    lost = [inc.invoke(n, pmk_partition="gpu") for n in range(3)]
    behind = stay.invoke(lost)
    assert behind.task_id
    session_id = client.session_id
    text = str(why_session(lists, session_id))
    assert "4 of 5 not ended, longest wait" in text
    assert "3 queued" in text
    assert "1 waits for  3 results; first inc" in text
    client.cancel()
    assert "CANCELLED" in str(why_session(lists, session_id))


def test_thousands_of_tasks_are_a_few_requests(
    client: Pymonik, lists: Listing, monkeypatch: pytest.MonkeyPatch
) -> None:
    handles = [inc.invoke(n, pmk_partition="gpu") for n in range(3000)]
    client.send()
    asked: list[str] = []
    ask = Listing._ask

    def counting(self: Listing, operation: str, *rest: object) -> object:
        asked.append(operation)
        return ask(self, operation, *rest)

    monkeypatch.setattr(Listing, "_ask", counting)
    waiting = {handle.task_id: 1 for handle in handles}
    text = str(why(lists, client.session_id, title="inc", waiting=waiting))
    assert '3000 queued     partition "gpu"' in text
    assert len(asked) < 10
