"""What a cluster took for a session it gives back once the session is deleted."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import grpc
import psutil
import pytest
from armonik.client import ArmoniKResults, ArmoniKSessions, ArmoniKTasks
from armonik.common import TaskDefinition, TaskOptions

from pymonik.cluster.local import LocalCluster

if TYPE_CHECKING:
    from collections.abc import Iterator

CLIENTS = 8
TASKS = 3_000  # of each
BATCH = 500
DEADLINE_S = 30.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """Nobody runs what is submitted."""
    with LocalCluster(partitions={"P": 0}, port=0) as one:
        yield one


def connected(cluster: LocalCluster) -> Any:
    # Each with a connection of its own.
    return grpc.insecure_channel(
        cluster.endpoint.removeprefix("http://"), [("grpc.use_local_subchannel_pool", 1)]
    )


def fill(cluster: LocalCluster, session_id: str, count: int) -> None:
    with connected(cluster) as channel:
        results, tasks = ArmoniKResults(channel), ArmoniKTasks(channel)
        for _ in range(count // BATCH):
            names = [str(number) for number in range(BATCH)]
            made = results.create_results_metadata(names, session_id, batch_size=BATCH)
            payloads = results.create_results(
                dict.fromkeys(names, b"payload"), session_id, batch_size=BATCH
            )
            definitions = [
                TaskDefinition(payloads[name].result_id, [made[name].result_id]) for name in names
            ]
            tasks.submit_tasks(session_id, definitions, chunk_size=BATCH)


def with_a_session(cluster: LocalCluster, clients: int, count: int) -> int:
    """The memory of the cluster with a session of many tasks, which is then deleted."""
    defaults = TaskOptions(timedelta(seconds=60), 1, 1, "P")
    with connected(cluster) as channel, ThreadPoolExecutor(clients) as pool:
        session_id = ArmoniKSessions(channel).create_session(defaults, ["P"])
        for filled in [pool.submit(fill, cluster, session_id, count) for _ in range(clients)]:
            filled.result()
        full = memory(cluster)
        ArmoniKSessions(channel).delete_session(session_id)
    return full


def memory(cluster: LocalCluster) -> int:
    return int(psutil.Process(cluster.pid).memory_info().rss)


@pytest.mark.skipif(sys.platform != "linux", reason="other allocators have other habits")
def test_most_memory_of_a_session_is_given_back(cluster: LocalCluster) -> None:
    with_a_session(cluster, CLIENTS, BATCH)  # everything is loaded
    for _ in range(2):
        before = memory(cluster)
        full = with_a_session(cluster, CLIENTS, TASKS)
        assert full - before > 8 * 2**20  # else this says nothing
        end = time.monotonic() + DEADLINE_S
        while memory(cluster) - before > (full - before) / 3:
            assert time.monotonic() < end, (
                f"MiB: {before >> 20}, {full >> 20}, {memory(cluster) >> 20}"
            )
            time.sleep(0.1)
