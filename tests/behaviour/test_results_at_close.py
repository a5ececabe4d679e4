"""What a session leaves at its close: no result that waits for data which nobody sends."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import grpc
import pytest
from armonik.client import ArmoniKResults, ArmoniKSessions
from armonik.common import Result, ResultStatus

from pymonik import Pymonik, task

if TYPE_CHECKING:
    from pymonik.cluster.local import LocalCluster


@task
def invert(value: float) -> float:
    return 1 / value


@task
def sleep(value: float) -> float:
    time.sleep(value)
    return value


@pytest.mark.parametrize("is_over_grpc", [False, True])
def test_no_result_is_left_that_nothing_will_fill(
    cluster: LocalCluster, *, is_over_grpc: bool
) -> None:
    client = Pymonik(cluster.endpoint if is_over_grpc else cluster)
    with client:
        session_id = client.session_id
        inverted = invert.map_invoke([1.0, 0.0, 2.0], chunk_size=1)
        needing = invert.map_invoke(inverted, chunk_size=1)
        needing.get(timeout=50, return_exceptions=True)
        slow = [sleep.invoke(30.0) for _ in range(6)]
        client.send()
        for one in slow:
            one.cancel()
        sleep.map_invoke([30.0] * 6, chunk_size=2)
        client.cancel()
    assert not waiting(cluster, session_id)


@pytest.mark.parametrize("is_over_grpc", [False, True])
def test_outputs_of_tasks_that_are_refused_are_not_left(
    cluster: LocalCluster, *, is_over_grpc: bool
) -> None:
    """The session ends between the request that makes outputs and the one with their tasks."""
    with Pymonik(cluster.endpoint if is_over_grpc else cluster, on_unseen="ignore") as client:
        session_id = client.session_id
        with opened(cluster) as channel:
            ArmoniKSessions(channel).cancel_session(session_id)
        refused = [invert.invoke(1.0) for _ in range(20)]
        assert all(one.exception(timeout=50) for one in refused)
    assert not waiting(cluster, session_id)


def opened(cluster: LocalCluster) -> grpc.Channel:
    return grpc.insecure_channel(cluster.endpoint.removeprefix("http://"))


def waiting(cluster: LocalCluster, session_id: str) -> list[str]:
    """Names of the results of a session that wait for their data."""
    with opened(cluster) as channel:
        wanted = Result.session_id == session_id
        _, found = ArmoniKResults(channel).list_results(result_filter=wanted, page_size=500)
    return [one.name for one in found if one.status == ResultStatus.CREATED]
