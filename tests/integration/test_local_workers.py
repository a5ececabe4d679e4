"""What an embedded cluster does around the tasks of pymonik: limits, output, partitions."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from pymonik import LocalCluster, Pymonik, PymonikContext, WorkerLostError, task
from pymonik.cli import main
from pymonik.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

TIMEOUT_S = 50.0
MIB = 1 << 20


@task
def fill(size: int) -> int:
    return len(b"x" * size)


@task
def speak() -> None:
    for part in ("to ", "the ", "output\n"):
        print(part, end="", flush=True)  # noqa: T201
    print("to the errors", end="", file=sys.stderr)  # noqa: T201


@task(require_context=True)
def partition_of(ctx: PymonikContext) -> str:
    return ctx.partition


@task
def partition_of_a_subtask() -> Any:
    return partition_of.invoke()


def test_a_task_over_the_memory_limit_fails_alone() -> None:
    with LocalCluster(workers=1, memory_limit=200 * MIB) as cluster, Pymonik(cluster.endpoint):
        with pytest.raises((MemoryError, WorkerLostError), match="200 MiB"):
            fill.invoke(1 << 30).result(timeout=TIMEOUT_S)
        assert fill.invoke(5).result(timeout=TIMEOUT_S) == 5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"worker": ["any"], "memory_limit": 1}, "is for tasks of pymonik"),
        ({"memory_limit": 0}, "memory_limit= is a size"),
        ({"memory_limit": "2X"}, "memory_limit= is a size"),
    ],
)
def test_a_memory_limit_that_cannot_be_kept_is_refused(
    arguments: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        LocalCluster(**arguments)


@pytest.mark.parametrize("size", ["", "0", "much", "2X", "-1"])
def test_a_size_that_is_none_is_refused(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["cluster", f"--memory-limit={size}"])
    assert "a size such as '500M', '2G'" in capsys.readouterr().err


def test_the_command_takes_a_memory_limit(short_path: Path) -> None:
    command = [sys.executable, "-m", "pymonik", "cluster", "--memory-limit", "200M"]
    command += ["--workers", "1", "--socket", str(short_path / "c"), "--folder", str(short_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        guard = threading.Timer(TIMEOUT_S, process.kill)
        guard.start()
        assert process.stdout is not None
        assert "listening" in process.stdout.readline()
        with (
            Pymonik(f"unix:{short_path / 'c'}"),
            pytest.raises((MemoryError, WorkerLostError), match="200 MiB"),
        ):
            fill.invoke(1 << 30).result(timeout=TIMEOUT_S)
        process.terminate()
        assert process.wait() == 0
        guard.cancel()


def test_what_a_task_prints_is_shown_with_its_id(capfd: pytest.CaptureFixture[str]) -> None:
    with LocalCluster(workers=1) as cluster, Pymonik(cluster.endpoint):
        handle = speak.invoke()
        handle.wait(timeout=TIMEOUT_S)
    shown = capfd.readouterr().err
    assert f"[{handle.task_id}] to the output\n" in shown
    assert f"[{handle.task_id}] to the errors\n" in shown


def test_a_subtask_runs_in_the_partition_of_its_parent() -> None:
    with (
        LocalCluster(partitions={"first": 1, "second": 1}) as cluster,
        Pymonik(cluster.endpoint, partition=["first", "second"]),
    ):
        here = partition_of_a_subtask.invoke()
        there = partition_of_a_subtask.invoke(pmk_partition_id="second")
        assert here.result(timeout=TIMEOUT_S) == "first"
        assert there.result(timeout=TIMEOUT_S) == "second"


def test_a_handle_that_was_pickled_finds_its_session_again() -> None:
    with LocalCluster(workers=1) as cluster:
        with Pymonik(cluster.endpoint):
            pending = fill.invoke(3)
            copy = pickle.loads(pickle.dumps(pending))
            assert copy.task_id == pending.task_id
            assert fill.invoke(copy).result(timeout=TIMEOUT_S) == 3
            assert copy.result(timeout=TIMEOUT_S) == 3
            kept = pickle.dumps(fill.map_invoke([1, 2]))
            assert pickle.loads(kept).result(timeout=TIMEOUT_S) == [1, 2]
        with pytest.raises(UsageError, match="comes out of a pickle"):
            pickle.loads(kept).get()
        with Pymonik(cluster.endpoint), pytest.raises(UsageError, match="comes out of a pickle"):
            pickle.loads(kept).get()


def test_the_failure_of_a_handle_that_was_pickled_is_the_original_one() -> None:
    with LocalCluster(workers=1) as cluster, Pymonik(cluster.endpoint):
        failing = fill.invoke("text")
        with pytest.raises(TypeError, match="can't multiply"):
            pickle.loads(pickle.dumps(failing)).result(timeout=TIMEOUT_S)
