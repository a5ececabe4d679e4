"""Whatever is killed while calls share tasks: each call ends right, and on its own."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from pymonik import LocalCluster, MultiResultHandle, Pymonik, WorkerLostError, task

if TYPE_CHECKING:
    from collections.abc import Callable

CALLS = 1500
SIZE = 40
PATIENCE_S = 120  # a hang is what fails; how long it takes is not the question here
NAPS_S = (0.0, 0.0, 0.0, 0.001, 0.01)
LONG_S = 0.7  # then a task gives calls away


@task(max_retries=30)
def twice(number: int) -> int:
    time.sleep(LONG_S if number % 400 == 399 else NAPS_S[number % len(NAPS_S)])
    if number % 97 == 96:
        raise ValueError(number)
    return 2 * number


@task(max_retries=1)
def twice_unless_deadly(number: int) -> int:
    if number % 50 == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * number


class Killer(threading.Thread):
    """Kills what `victims` names, now and then, until it is told that everything has ended."""

    def __init__(self, victims: Callable[[], list[int]], times: int, seed: int) -> None:
        super().__init__(name="killer")
        self._victims = victims
        self._times = times
        self._random = random.Random(seed)
        self._over = threading.Event()
        self.killed = 0

    def run(self) -> None:
        while self.killed < self._times:
            if self._over.wait(self._random.uniform(0.02, 0.3)):
                return
            if victims := self._victims():
                os.kill(self._random.choice(victims), signal.SIGKILL)
                self.killed += 1

    def stop(self) -> None:
        self._over.set()
        self.join(PATIENCE_S)


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


def check(handles: MultiResultHandle[int]) -> None:
    """Those that raise have raised, the others have their values."""
    errors = handles.exceptions(PATIENCE_S)
    wrong = [n for n, error in enumerate(errors) if (n % 97 == 96) != isinstance(error, ValueError)]
    assert [errors[n] for n in wrong] == []
    assert [n for n, error in enumerate(errors) if error is not None] == list(range(96, CALLS, 97))
    good = [n for n in range(CALLS) if n % 97 != 96]
    assert MultiResultHandle([handles[n] for n in good]).result(PATIENCE_S) == [2 * n for n in good]


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("size", ["auto", SIZE])
def test_killed_executors_cost_no_call(seed: int, size: int) -> None:
    with LocalCluster(workers=2) as cluster, Pymonik(cluster.endpoint) as client:
        killer = Killer(lambda: descendants(cluster.pid, "pymonik.executor"), times=8, seed=seed)
        handles = twice.map_invoke(range(CALLS), pymonik=client, chunk_size=size)
        killer.start()
        try:
            check(handles)
        finally:
            killer.stop()
    assert killer.killed > 0


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_workers_cost_no_call(seed: int) -> None:
    command = [sys.executable, "-m", "pymonik.worker"]
    with (
        LocalCluster(workers=2, worker=command) as cluster,
        Pymonik(cluster.endpoint) as client,
    ):
        killer = Killer(lambda: descendants(cluster.pid, "pymonik.worker"), times=3, seed=seed)
        handles = twice.map_invoke(range(CALLS), pymonik=client, chunk_size=SIZE)
        killer.start()
        try:
            check(handles)
        finally:
            killer.stop()
    assert killer.killed > 0


def test_calls_that_kill_their_executor_fail_and_no_others() -> None:
    with LocalCluster(workers=2) as cluster, Pymonik(cluster.endpoint) as client:
        handles = twice_unless_deadly.map_invoke(range(300), pymonik=client, chunk_size=100)
        errors = handles.exceptions(PATIENCE_S)
    assert [n for n, error in enumerate(errors) if error] == list(range(7, 300, 50))
    assert all(isinstance(error, WorkerLostError) for error in errors if error)
