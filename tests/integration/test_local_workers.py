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
    from collections.abc import Iterator
    from pathlib import Path

TIMEOUT_S = 50.0
MIB = 1 << 20


@task
def fill(size: int) -> int:
    return len(b"x" * size)


@task
def fill_in_a_subtask(size: int) -> Any:
    return fill.invoke(size)


@task
def fill_a_child(size: int) -> None:
    code = f"import time; kept = b'x' * {size}; time.sleep(60)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture(scope="module")
def cluster_with_a_limit() -> Iterator[LocalCluster]:
    with LocalCluster(workers=2, memory_limit="1G") as cluster:
        yield cluster


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


def test_a_task_says_how_much_memory_it_may_use(cluster_with_a_limit: LocalCluster) -> None:
    """The nearest says it: the call, the task, the cluster; a subtask has what its task has."""
    with Pymonik(cluster_with_a_limit.endpoint):
        with pytest.raises((MemoryError, WorkerLostError), match="100 MiB"):
            fill.invoke(300 * MIB, memory="100M").result(timeout=TIMEOUT_S)
        frugal = task(memory=150 * MIB)(fill.func)
        many = frugal.map_invoke([5, 400 * MIB, 7], chunk_size=3)
        errors = many.exceptions(timeout=TIMEOUT_S)
        assert [type(error) for error in errors] != [type(None)] * 3
        assert [errors[0], errors[2]] == [None, None]
        assert "150 MiB" in str(errors[1])
        assert frugal.invoke(300 * MIB, pmk_memory="2G").result(timeout=TIMEOUT_S) == 300 * MIB
        inherits = fill_in_a_subtask.invoke(300 * MIB, memory="120M")
        with pytest.raises((MemoryError, WorkerLostError), match="120 MiB"):
            inherits.result(timeout=TIMEOUT_S)
    with (
        Pymonik(cluster_with_a_limit.endpoint, memory="110M"),
        pytest.raises((MemoryError, WorkerLostError), match="110 MiB"),
    ):
        fill.invoke(300 * MIB).result(timeout=TIMEOUT_S)


def test_children_of_a_task_count_for_its_memory(cluster_with_a_limit: LocalCluster) -> None:
    with (
        Pymonik(cluster_with_a_limit.endpoint),
        pytest.raises(WorkerLostError, match=r"with all that it started, of 200 MiB"),
    ):
        fill_a_child.invoke(250 * MIB, memory="200M").result(timeout=TIMEOUT_S)


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


def test_what_a_task_prints_is_shown_with_its_name(capfd: pytest.CaptureFixture[str]) -> None:
    with LocalCluster(workers=1) as cluster, Pymonik(cluster.endpoint):
        speak.invoke().wait(timeout=TIMEOUT_S)
    shown = capfd.readouterr().err
    assert shown.splitlines() == ["[speak] to the output", "[speak] to the errors"]


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
        with Pymonik(cluster.endpoint):
            assert pickle.loads(kept).get(timeout=TIMEOUT_S) == [1, 2]


def test_the_failure_of_a_handle_that_was_pickled_is_the_original_one() -> None:
    with LocalCluster(workers=1) as cluster, Pymonik(cluster.endpoint):
        failing = fill.invoke("text")
        with pytest.raises(TypeError, match="can't multiply"):
            pickle.loads(pickle.dumps(failing)).result(timeout=TIMEOUT_S)
