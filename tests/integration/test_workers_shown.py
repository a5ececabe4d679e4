"""The list of a cluster's workers."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING

from pymonik import LocalCluster, Pymonik, task
from pymonik.cli import main

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

TIMEOUT_S = 50
HOST = socket.gethostname()


@task
def double(number: int) -> int:
    return 2 * number


@task
def stay() -> None:
    threading.Event().wait()


def test_an_embedded_cluster_tells_what_its_partitions_have() -> None:
    with LocalCluster(partitions={"cpu": 2, "scope": 1}) as cluster, Pymonik(cluster) as client:
        double.map_invoke(range(3), chunk_size=1).result(timeout=TIMEOUT_S)
        scope, cpu = sorted(client.workers(), key=lambda worker: worker.partition, reverse=True)
    assert (cpu.host, cpu.partition, cpu.state, cpu.done) == (HOST, "cpu", "active", 3)
    assert (scope.host, scope.partition, scope.state, scope.done) == (HOST, "scope", "idle", 0)
    assert cpu.cpus is not None
    assert 1 <= cpu.cpus <= (os.cpu_count() or 1)
    assert cpu.memory is not None
    assert cpu.memory > 1 << 28
    assert cpu.python == sys.version.split()[0]
    assert scope.connected is not None
    assert scope.last_seen is not None
    assert time.time() - scope.last_seen.timestamp() < TIMEOUT_S


def test_a_task_that_runs_is_shown() -> None:
    with LocalCluster(workers=1) as cluster, Pymonik(cluster) as client:
        handle = stay.invoke()
        client.send()
        end = time.monotonic() + TIMEOUT_S
        while not (worker := client.workers()[0]).running:
            assert time.monotonic() < end
        assert worker.functions == {"stay": 1}
        handle.cancel()


def test_a_worker_of_armonik_shows_itself_with_its_first_task_of_a_session() -> None:
    command = [sys.executable, "-m", "pymonik.worker"]
    with LocalCluster(workers=1, worker=command) as cluster, Pymonik(cluster) as client:
        assert [worker.python for worker in client.workers()] == [""]
        double.map_invoke(range(4), chunk_size=1).result(timeout=TIMEOUT_S)
        names = [row.name for row in client.session.lists.results_named("pymonik.worker/")]
        (worker,) = client.workers()
    assert names == [f"pymonik.worker/pymonik/{HOST}"]
    assert (worker.host, worker.python, worker.done) == (HOST, sys.version.split()[0], 4)


def test_a_probe_runs_a_task_at_each_worker() -> None:
    with (
        LocalCluster(partitions={"cpu": 2, "none": 0}) as cluster,
        Pymonik(cluster, partition=["cpu", "none"]) as client,
    ):
        done = {worker.partition: worker.done for worker in client.workers(probe=True)}
    assert done == {"cpu": 2}


def test_gpus_are_told_once_the_tool_has_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text('#!/bin/sh\n[ "$1" = -L ] && echo "GPU 0: Tesla T4 (UUID: GPU-1)"\nexit 0\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with LocalCluster(workers=1) as cluster, Pymonik(cluster) as client:
        end = time.monotonic() + TIMEOUT_S
        while not (gpus := client.workers()[0].gpus):
            assert time.monotonic() < end
    assert [gpu.name for gpu in gpus] == ["Tesla T4"]


def test_the_command_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    with LocalCluster(partitions={"cpu": 1, "scope": 1}, port=0) as cluster:
        assert main(["workers", "--endpoint", cluster.endpoint]) == 0
        assert HOST in capsys.readouterr().out
        assert main(["workers", "scope", "--endpoint", cluster.endpoint, "--json"]) == 0
        (row,) = json.loads(capsys.readouterr().out)
    assert (row["host"], row["partition"], row["state"]) == (HOST, "scope", "idle")
    assert row["last_seen"].endswith("+00:00")
