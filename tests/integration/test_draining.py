"""A cluster that is drained: running tasks end, others are cancelled, and clients are told."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
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


@pytest.fixture
def command(short_path: Path):
    arguments = ["cluster", "--workers", "1", "--socket", str(short_path / "s")]
    arguments += ["--folder", str(short_path), "--drain", str(LIMIT_S)]
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
