"""A cluster that is drained: running tasks end, others are cancelled, and clients are told."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from pymonik import LocalCluster, Pymonik, TaskCancelledError, get_context, task

LIMIT_S = 60.0


@task
def wait_until_stopping(begun: str) -> bool:
    Path(begun).touch()
    end = time.monotonic() + LIMIT_S
    while not get_context().stopping and time.monotonic() < end:
        time.sleep(0.01)
    return get_context().stopping


@task(max_retries=0)
def sleep(begun: str) -> None:
    Path(begun).touch()
    time.sleep(LIMIT_S)


@task
def twice(number: int) -> int:
    return 2 * number


def wait_for(path: Path) -> None:
    end = time.monotonic() + LIMIT_S
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_running_tasks_end_and_others_are_cancelled(tmp_path: Path) -> None:
    with LocalCluster(workers=1) as cluster, Pymonik(cluster.endpoint) as client:
        running = wait_until_stopping.invoke(str(tmp_path / "begun"))
        wait_for(tmp_path / "begun")
        waiting = wait_until_stopping.map_invoke([str(tmp_path / "never")] * 3, chunk_size=1)
        client.send()
        assert cluster.drain(LIMIT_S) == 0
        assert running.result(LIMIT_S) is True
        for error in waiting.exceptions(LIMIT_S):
            assert isinstance(error, TaskCancelledError)
        assert not (tmp_path / "never").exists()


def test_tasks_that_do_not_end_in_time_are_counted(tmp_path: Path) -> None:
    with LocalCluster(workers=1) as cluster, Pymonik(cluster.endpoint):
        handle = sleep.invoke(str(tmp_path / "begun"))
        wait_for(tmp_path / "begun")
        assert cluster.drain(0.1) == 1
        handle.cancel()


@contextmanager
def served(short_path: Path, *more: str):
    arguments = ["cluster", "--workers", "1", "--socket", str(short_path / "s")]
    arguments += ["--folder", str(short_path), "--drain", str(LIMIT_S), *more]
    with subprocess.Popen(
        [sys.executable, "-m", "pymonik", *arguments], stdout=subprocess.PIPE, text=True
    ) as process:
        guard = threading.Timer(LIMIT_S, process.kill)
        guard.start()
        assert process.stdout is not None
        assert "listening" in process.stdout.readline()
        yield process, f"unix:{short_path / 's'}"
        guard.cancel()
        process.kill()


@pytest.fixture
def command(short_path: Path):
    with served(short_path) as running:
        yield running


def test_the_command_lets_running_tasks_end_at_a_signal(command, tmp_path: Path) -> None:
    process, endpoint = command
    with Pymonik(endpoint, unavailable_timeout=1):
        running = wait_until_stopping.invoke(str(tmp_path / "begun"))
        wait_for(tmp_path / "begun")
        process.send_signal(signal.SIGTERM)
        assert running.result(LIMIT_S) is True
    assert process.wait(LIMIT_S) == 0


def test_a_second_signal_ends_them_at_once(command, tmp_path: Path) -> None:
    process, endpoint = command
    with Pymonik(endpoint, unavailable_timeout=1) as client:
        sleep.invoke(str(tmp_path / "begun"))
        wait_for(tmp_path / "begun")
        process.send_signal(signal.SIGTERM)
        assert "second signal" in process.stdout.readline()
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT_S) == 0
        assert time.monotonic() - start < LIMIT_S / 2
        client.close(wait=False)  # its task is pending for as long as nobody answers


def test_what_has_not_begun_stays_pending_where_rows_are_kept(
    short_path: Path, tmp_path: Path
) -> None:
    data = ("--data", str(short_path / "data"))
    with served(short_path, *data) as (process, endpoint):
        client = Pymonik(endpoint, unavailable_timeout=LIMIT_S).create()
        running = wait_until_stopping.invoke(str(tmp_path / "begun"), pymonik=client)
        wait_for(tmp_path / "begun")
        waiting = [twice.invoke(n, pymonik=client) for n in range(3)]
        client.send()
        process.send_signal(signal.SIGTERM)
        assert running.result(LIMIT_S) is True
        assert process.wait(LIMIT_S) == 0
        assert not any(handle.done() for handle in waiting)
    with served(short_path, *data):
        assert [handle.result(LIMIT_S) for handle in waiting] == [0, 2, 4]
        client.close()
