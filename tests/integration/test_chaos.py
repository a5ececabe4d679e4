"""Whatever is killed, whenever: each handle ends in a value or a clear error, within a time."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from typing import TYPE_CHECKING

import psutil
import pytest

from pymonik import LocalCluster, MultiResultHandle, Pymonik, PymonikError, task

if TYPE_CHECKING:
    from collections.abc import Callable

CALLS = 2000
PATIENCE_S = 120  # a hang is what fails; how long it takes is not the question here


@task(max_retries=20)
def twice(number: int) -> int:
    return 2 * number


class Killer(threading.Thread):
    """Kills what `victims` names, a few times, while calls end one after the other."""

    def __init__(
        self,
        victims: Callable[[], list[int]],
        handles: MultiResultHandle[int],
        times: int,
        seed: int,
    ) -> None:
        super().__init__(name="killer")
        self._victims = victims
        self._handles = handles
        self._moments = sorted(random.Random(seed).sample(range(CALLS // 2), times))
        self.killed = 0

    def run(self) -> None:
        for moment in self._moments:
            self._handles[moment].exception(timeout=PATIENCE_S)
            victims = self._victims()
            if victims:
                os.kill(random.Random(moment).choice(victims), signal.SIGKILL)
                self.killed += 1


def descendants(pid: int, word: str) -> list[int]:
    """Processes below `pid` whose command line has `word`."""
    found = []
    for process in psutil.Process(pid).children(recursive=True):
        try:
            if any(word in part for part in process.cmdline()):
                found.append(process.pid)
        except psutil.NoSuchProcess:  # noqa: PERF203 - it ended in the meantime
            continue
    return found


seeds = pytest.mark.parametrize("seed", [1, 2, 3])


@seeds
def test_killed_executors_cost_retries_and_no_call(seed: int) -> None:
    with LocalCluster(workers=2) as cluster, Pymonik(cluster.endpoint) as client:
        handles = twice.map_invoke([(n,) for n in range(CALLS)], pymonik=client, chunk_size=1)
        killer = Killer(
            lambda: descendants(cluster.pid, "pymonik.executor"), handles, times=5, seed=seed
        )
        killer.start()
        values = handles.result(timeout=PATIENCE_S)
        killer.join(PATIENCE_S)
    assert killer.killed > 0
    assert values == [2 * n for n in range(CALLS)]


@seeds
def test_a_killed_worker_costs_retries_and_no_call(seed: int) -> None:
    command = [sys.executable, "-m", "pymonik.worker"]
    with (
        LocalCluster(workers=2, worker=command) as cluster,
        Pymonik(cluster.endpoint) as client,
    ):
        handles = twice.map_invoke([(n,) for n in range(CALLS)], pymonik=client, chunk_size=1)
        killer = Killer(
            lambda: descendants(cluster.pid, "pymonik.worker"), handles, times=3, seed=seed
        )
        killer.start()
        values = handles.result(timeout=PATIENCE_S)
        killer.join(PATIENCE_S)
    assert killer.killed > 0
    assert values == [2 * n for n in range(CALLS)]


@seeds
def test_a_killed_cluster_ends_each_handle_in_a_value_or_a_clear_error(seed: int) -> None:
    cluster = LocalCluster(workers=2)
    cluster.start()
    try:
        client = Pymonik(cluster.endpoint, unavailable_timeout=3)
        client.create()
        try:
            handles = twice.map_invoke([(n,) for n in range(CALLS)], pymonik=client, chunk_size=1)
            killer = Killer(lambda: [cluster.pid], handles, times=1, seed=seed)
            killer.start()
            errors = [handle.exception(timeout=PATIENCE_S) for handle in handles]
            killer.join(PATIENCE_S)
        finally:
            client.close()
    finally:
        cluster.stop()
    assert any(errors)
    assert all(error is None or isinstance(error, PymonikError) for error in errors)
