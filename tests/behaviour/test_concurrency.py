"""Calls of an async function that run at the same time in one executor."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pymonik import File, LocalCluster, Outputs, Pymonik, get_context, task
from pymonik.errors import TaskCancelledError, TaskTimeoutError, UsageError, WorkerLostError

TIMEOUT_S = 55.0


@task(concurrency=20)
async def meets(folder: str, number: int, others: int) -> int:
    """Ends only when as many calls have begun."""
    Path(folder, str(number)).touch()
    while len(list(Path(folder).iterdir())) < others:
        await asyncio.sleep(0.005)
    return os.getpid()


@task(concurrency=4)
async def counts(folder: str, number: int) -> int:
    mark = Path(folder, str(number))
    mark.touch()
    await asyncio.sleep(0.02)
    there = len(list(Path(folder).iterdir()))
    mark.unlink()
    return there


@task(concurrency=10)
async def odd_fails(n: int) -> int:
    await asyncio.sleep(0.001 * (10 - n % 10))
    if n % 2:
        raise LookupError(n)
    return n


@task(concurrency=10)
async def prints(n: int) -> int:
    for line in range(3):
        sys.stdout.write(f"call {n} line ")
        await asyncio.sleep(0.001)
        sys.stdout.write(f"{line}\n")
        sys.stderr.write(f"error of {n}\n")
    sys.stdout.write(f"the end of {n}")
    return n


@task(concurrency=10)
async def draws(n: int) -> float:
    await asyncio.sleep(0.001)
    first = float(get_context().rng.random())
    await asyncio.sleep(0.001)
    return first + float(get_context().rng.random())


@task
def add(a: int, b: int) -> int:
    return a + b


@task(concurrency=10)
async def delegates(n: int) -> Any:
    await asyncio.sleep(0.001 * (10 - n))
    return add.invoke(n, n)


@task(concurrency=10)
async def gives_outputs(n: int) -> Outputs:
    await asyncio.sleep(0.001)
    return Outputs(n=n, large=np.full(100_000, n, np.uint8))


@task(concurrency=10)
async def changes(array: np.ndarray[Any, Any], n: int) -> tuple[int, int]:
    array[0] += n
    await asyncio.sleep(0.002)
    return int(array[0]), n


@task(concurrency=10)
async def reads(file: File) -> str:
    await asyncio.sleep(0.001)
    return Path(file).read_text()


@task(concurrency=10, max_duration=4.0)
async def one_hangs(n: int, log: str) -> int:
    with Path(log, str(n)).open("a") as file:
        file.write("x")
    await asyncio.sleep(600 if n == 3 else 0.01)
    return n


@task(concurrency=10, max_retries=2)
async def one_kills(n: int) -> int:
    await asyncio.sleep(0.01)
    if n == 3:
        os.kill(os.getpid(), 9)
    return n


@task(concurrency=10, retry_on=OSError, max_retries=3)
async def fails_once(n: int, folder: str) -> int:
    await asyncio.sleep(0.001)
    mark = Path(folder, str(n))
    if not mark.exists():
        mark.touch()
        raise OSError("the first time")
    return get_context().attempt


@task(concurrency=10)
async def exits(n: int) -> int:
    await asyncio.sleep(0.001)
    if n == 2:
        sys.exit(3)
    return n


@task(concurrency=10)
async def yields(n: int) -> Any:
    for i in range(n):
        await asyncio.sleep(0)
        yield i


@task(concurrency=3)
async def sets(n: int) -> str:
    os.environ["LEFT"] = str(n)
    await asyncio.sleep(0.001)
    return os.environ["LEFT"]


@task
def sees() -> str:
    return os.environ.get("LEFT", "")


def test_calls_of_a_map_run_at_the_same_time_in_one_executor(client: Pymonik, tmp_path: Path):
    items = [(str(tmp_path), n, 20) for n in range(20)]
    pids = meets.map_invoke(items, pymonik=client).get(timeout=TIMEOUT_S)
    assert len(set(pids)) == 1


def test_single_calls_that_are_made_together_run_together(client: Pymonik, tmp_path: Path):
    handles = [odd_fails.invoke(2 * n, pymonik=client) for n in range(50)]
    assert [handle.get(timeout=TIMEOUT_S) for handle in handles] == [2 * n for n in range(50)]
    assert len({handle.task_id for handle in handles}) < 50
    assert meets.invoke(str(tmp_path), 0, 1, pymonik=client).get(timeout=TIMEOUT_S)


def test_no_more_run_at_once_than_was_said(client: Pymonik, tmp_path: Path):
    items = [(str(tmp_path), n) for n in range(12)]
    there = counts.map_invoke(items, pymonik=client, chunk_size=12).get(timeout=TIMEOUT_S)
    assert max(there) == 4


def test_failures_are_those_of_their_calls(client: Pymonik):
    handles = odd_fails.map_invoke(range(20), pymonik=client)
    errors = handles.exceptions(timeout=TIMEOUT_S)
    assert [type(error) for error in errors] == [type(None), LookupError] * 10
    assert [error.args for error in errors[1::2] if error] == [(n,) for n in range(1, 20, 2)]
    assert [handle.get() for handle in handles[::2]] == list(range(0, 20, 2))


def test_what_each_call_prints_is_its_own(client: Pymonik):
    handles = prints.map_invoke(range(10), pymonik=client)
    assert handles.get(timeout=TIMEOUT_S) == list(range(10))
    for n, handle in enumerate(handles):
        lines = handle.logs().splitlines()
        assert [line for line in lines if "error" in line] == [f"error of {n}"] * 3
        assert [line for line in lines if "line" in line] == [
            f"call {n} line {i}" for i in range(3)
        ]
        assert f"the end of {n}" in lines
        assert len(lines) == 7


def test_random_numbers_do_not_depend_on_the_others(client: Pymonik):
    together = draws.map_invoke(range(10), pymonik=client, seed=7).get(timeout=TIMEOUT_S)
    alone = draws.map_invoke(range(10), pymonik=client, seed=7, chunk_size=1)
    assert together == alone.get(timeout=TIMEOUT_S)


def test_subtasks_and_outputs_are_those_of_their_calls(client: Pymonik):
    values = delegates.map_invoke(range(10), pymonik=client)
    outputs = gives_outputs.map_invoke(range(10), pymonik=client)
    assert values.get(timeout=TIMEOUT_S) == [2 * n for n in range(10)]
    assert outputs["n"].get(timeout=TIMEOUT_S) == list(range(10))
    assert [int(one[0]) for one in outputs["large"].get(timeout=TIMEOUT_S)] == list(range(10))


def test_an_argument_that_calls_share_is_changed_for_each_alone(client: Pymonik):
    array = client.put(np.zeros(1_000_000))
    items = [(array, n) for n in range(10)]
    values = changes.map_invoke(items, pymonik=client).get(timeout=TIMEOUT_S)
    assert values == [(n, n) for n in range(10)]


def test_calls_have_their_files(client: Pymonik, tmp_path: Path):
    for n in range(5):
        (tmp_path / str(n)).mkdir()
        (tmp_path / str(n) / "data.txt").write_text(f"text {n}")
    files = [File(tmp_path / str(n) / "data.txt") for n in range(5)]
    values = reads.map_invoke(files, pymonik=client).get(timeout=TIMEOUT_S)
    assert values == [f"text {n}" for n in range(5)]


def test_the_time_limit_ends_the_call_that_is_late_and_no_other(client: Pymonik, tmp_path: Path):
    # ArmoniK's time limit counts the start of a worker's executor, so these are started before.
    sees.map_invoke([()] * 8, pymonik=client, chunk_size=1).get(timeout=TIMEOUT_S)
    handles = one_hangs.map_invoke([(n, str(tmp_path)) for n in range(6)], pymonik=client)
    errors = handles.exceptions(timeout=TIMEOUT_S)
    assert [type(error) for error in errors if error] == [TaskTimeoutError]
    assert isinstance(errors[3], TaskTimeoutError)
    assert [len((tmp_path / str(n)).read_text()) for n in range(6) if n != 3] == [1] * 5


def test_a_call_that_ends_the_process_costs_itself_only(client: Pymonik):
    handles = one_kills.map_invoke(range(6), pymonik=client)
    errors = handles.exceptions(timeout=TIMEOUT_S)
    assert [type(error) for error in errors if error] == [WorkerLostError]
    assert isinstance(errors[3], WorkerLostError)


def test_each_call_is_tried_again_for_itself(client: Pymonik, tmp_path: Path):
    handles = fails_once.map_invoke([(n, str(tmp_path)) for n in range(5)], pymonik=client)
    assert handles.get(timeout=TIMEOUT_S) == [2] * 5


def test_exit_of_one_call_leaves_the_others(client: Pymonik):
    errors = exits.map_invoke(range(5), pymonik=client).exceptions(timeout=TIMEOUT_S)
    assert [error is not None for error in errors] == [False, False, True, False, False]


def test_generators_are_collected(client: Pymonik):
    values = yields.map_invoke(range(4), pymonik=client).get(timeout=TIMEOUT_S)
    assert values == [[], [0], [0, 1], [0, 1, 2]]


def test_what_they_change_is_put_back_once_none_runs(client: Pymonik):
    assert sets.map_invoke(range(3), pymonik=client).get(timeout=TIMEOUT_S)
    assert sees.map_invoke([()] * 4, pymonik=client).get(timeout=TIMEOUT_S) == [""] * 4


def test_cancelling_ends_the_calls(client: Pymonik, tmp_path: Path):
    items = [(str(tmp_path), n, 99) for n in range(5)]  # they wait for others that never come
    handles = meets.map_invoke(items, pymonik=client)
    deadline = time.monotonic() + TIMEOUT_S
    while len(list(tmp_path.iterdir())) < 5:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    handles.cancel()
    errors = handles.exceptions(timeout=TIMEOUT_S)
    assert [type(error) for error in errors] == [TaskCancelledError] * 5
    assert add.invoke(1, 2, pymonik=client).get(timeout=TIMEOUT_S) == 3


def test_calls_that_were_not_begun_in_time_run_elsewhere_together():
    @task(concurrency=5)
    async def waits(n: int) -> float:
        await asyncio.sleep(1.0)
        return time.time()

    with LocalCluster(workers=2) as cluster, Pymonik(cluster):
        ended = waits.map_invoke(range(20), chunk_size=20).get(timeout=TIMEOUT_S)
    # Two workers with five at once: two rounds and what the first second of one worker adds.
    assert len({round(when) for when in ended}) <= 5


def test_what_cannot_run_at_the_same_time_is_refused():
    def sync(n: int) -> int:
        return n

    async def asynchronous(n: int) -> int:
        return n

    with pytest.raises(UsageError, match="is for async functions"):
        task(concurrency=5)(sync)
    with pytest.raises(UsageError, match="do not go together"):
        task(concurrency=5, outputs="*.log")(asynchronous)
    for wrong in (0, -1, "5", 1.5):
        with pytest.raises(UsageError, match="concurrency"):
            task(concurrency=wrong)(asynchronous)  # type: ignore[arg-type]
