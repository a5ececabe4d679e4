"""Executors of a pool that come up together: few at a time where there are few processors."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from pymonik.executor import pool as pools
from pymonik.executor.process import ExecutorProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TIMEOUT_S = 60.0


class Started:
    """What has been started, and what becomes of each right after that."""

    def __init__(self) -> None:
        self.processes: list[ExecutorProcess] = []
        self.were_coming_up: list[int] = []  # as each was started
        self.then: Callable[[ExecutorProcess], object] = lambda _: None

    def start(self, **settings: Any) -> ExecutorProcess:
        self.were_coming_up.append(sum(one.is_coming_up() for one in self.processes))
        process = ExecutorProcess(**settings)
        self.processes.append(process)
        self.then(process)
        return process


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[Started]:
    one = Started()
    monkeypatch.setattr(pools, "ExecutorProcess", one.start)
    monkeypatch.setattr(pools, "processors", lambda: 2)
    monkeypatch.setattr(pools, "_ALONE_S", TIMEOUT_S)  # however busy this machine is
    yield one
    for process in one.processes:
        assert not process.is_alive


def _come_up(folder: Path, started: Started, count: int) -> None:
    with pools.ExecutorPool(folder=folder, size=count) as pool:
        for seat in list(pool._seats):
            seat.process.result(TIMEOUT_S / 2)
        for process in started.processes:
            process.wait_until_up(TIMEOUT_S)
        assert not any(process.is_coming_up() for process in started.processes)


def test_one_comes_up_after_the_other(tmp_path: Path, started: Started) -> None:
    _come_up(tmp_path, started, 3)
    assert started.were_coming_up == [0, 0, 0]


def test_as_many_at_a_time_as_there_are_processors_but_one(
    tmp_path: Path, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "processors", lambda: 3)
    _come_up(tmp_path, started, 4)
    assert max(started.were_coming_up) <= 1


def test_one_that_is_killed_while_it_starts_is_not_waited_for(
    tmp_path: Path, started: Started
) -> None:
    started.then = lambda process: os.kill(process.supervisor, signal.SIGKILL)
    with pools.ExecutorPool(folder=tmp_path, size=2) as pool:
        for seat in list(pool._seats):
            seat.process.result(TIMEOUT_S / 2)


def test_one_that_hangs_while_it_starts_is_waited_for_no_longer_than_a_start_takes(
    tmp_path: Path, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "_ALONE_S", 0.1)
    started.then = lambda process: os.kill(process.supervisor, signal.SIGSTOP)
    with pools.ExecutorPool(folder=tmp_path, size=2) as pool:
        for seat in list(pool._seats):
            seat.process.result(TIMEOUT_S / 2)
        assert started.were_coming_up == [0, 1]
        for process in started.processes:
            os.kill(process.supervisor, signal.SIGCONT)
