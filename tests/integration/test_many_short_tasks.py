"""Many tasks of the embedded cluster, which sends executors some of them ahead."""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pymonik import LocalCluster, MultiResultHandle, Pymonik, task
from pymonik.errors import PymonikError, WorkerLostError

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT_S = 60


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(workers=2) as one:
        yield one


@pytest.fixture
def client(cluster: LocalCluster) -> Iterator[Pymonik]:
    with Pymonik(endpoint=cluster.endpoint) as one:
        yield one


@task
def noted(log: str, number: int, seconds: float) -> int:
    fd = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.write(fd, f"{number}\n".encode())
    os.close(fd)
    time.sleep(seconds)
    return number


@task(max_retries=1)
def fragile(log: str, number: int) -> int:
    fd = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.write(fd, f"{number}\n".encode())
    os.close(fd)
    if number % 40 == 7:
        os._exit(3)
    return number


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log"
    path.touch()
    return path


def test_each_task_runs_once_and_has_its_own_value(client: Pymonik, log: Path) -> None:
    naps = [0.0, 0.0, 0.0, 0.001, 0.0, 0.019, 0.0, 0.02, 0.0, 0.021, 0.05, 0.0]
    handles = [noted.invoke(str(log), i, naps[i % len(naps)]) for i in range(400)]
    assert [handle.result(TIMEOUT_S) for handle in handles] == list(range(400))
    assert Counter(log.read_text().split()) == Counter(map(str, range(400)))


def test_an_executor_that_dies_costs_the_task_that_ran(client: Pymonik, log: Path) -> None:
    handles = [fragile.invoke(str(log), number) for number in range(200)]
    for number, handle in enumerate(handles):
        if number % 40 == 7:
            with pytest.raises(WorkerLostError):
                handle.result(TIMEOUT_S)
        else:
            assert handle.result(TIMEOUT_S) == number
    times = Counter(map(int, log.read_text().split()))
    assert times == {number: 2 if number % 40 == 7 else 1 for number in range(200)}


def test_cancelled_tasks_end_and_the_others_run(client: Pymonik, log: Path) -> None:
    handles = [noted.invoke(str(log), number, 0.002) for number in range(300)]
    handles[10].result(TIMEOUT_S)
    MultiResultHandle(handles[1::2]).cancel()
    assert [one.result(TIMEOUT_S) for one in handles[::2]] == list(range(0, 300, 2))
    for number, handle in enumerate(handles[1::2]):
        with contextlib.suppress(PymonikError):  # else it had ended
            assert handle.result(TIMEOUT_S) == 2 * number + 1
    assert len(set(log.read_text().split())) < 300


@task(max_retries=1)
def scheduled(*, dies: bool) -> tuple[int, int]:
    if dies:
        os._exit(3)
    return os.getpid(), os.sched_getscheduler(0)


@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="Linux only")
def test_calls_are_scheduled_as_the_program_is_in_executors_that_were_replaced_too(
    client: Pymonik,
) -> None:
    before = {scheduled.invoke(dies=False).result(TIMEOUT_S) for _ in range(4)}
    with pytest.raises(WorkerLostError):
        scheduled.invoke(dies=True).result(TIMEOUT_S)
    after = {scheduled.invoke(dies=False).result(TIMEOUT_S) for _ in range(4)}
    assert after - before
    assert {policy for _, policy in before | after} == {os.sched_getscheduler(0)}
