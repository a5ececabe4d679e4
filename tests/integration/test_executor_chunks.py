"""Real executors with several calls: what their parent takes away, and what it gives back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from pymonik.code import codec, opened_result, packed_function
from pymonik.executor.endings import Cancelled
from pymonik.executor.frames import Report, Run
from pymonik.executor.pool import ExecutorPool
from pymonik.executor.submission import bind
from pymonik.tasks.task import Task
from pymonik.wire import containers
from pymonik.wire.call import CallMeta, FunctionRef, PayloadMeta, ResultRef

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

LIMIT_S = 30.0


def nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def overflow(number: int) -> list[int]:
    return [0] * (1 << 60)


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[ExecutorPool]:
    with ExecutorPool(folder=tmp_path / "pool", size=1) as one:
        # What an executor imports for its first call counts as time of that call.
        one.run(run_of(tmp_path, nap, [0.0, 0.0], "first"), time_limit_s=LIMIT_S)
        yield one


def run_of(folder: Path, func: Any, arguments: Sequence[Any], task_id: str = "t") -> Run:
    function = packed_function.pack_function(Task(func), func.__name__)
    packed = [codec.pack_call((one,), {}) for one in arguments]
    meta = PayloadMeta(
        function=FunctionRef(function.content_id, "function", function.name),
        calls=tuple(CallMeta(len(one.blobs)) for one in packed),
        chunked=True,
    )
    payload = b"".join(containers.join(meta, [blob for one in packed for blob in one.blobs]))
    files = {}
    for name, data in (("function", function.container), ("payload", payload)):
        path = folder / f"{task_id}-{name}"
        path.write_bytes(data)
        files[name] = str(path)
    return Run(
        task_id=task_id,
        session_id="s",
        files=files,
        payload_id="payload",
        output_id="output",
        folder=str(folder),
    )


def opened(ending: object) -> opened_result.OpenedResult:
    assert isinstance(ending, Report), ending
    assert ending.output is not None
    return opened_result.OpenedResult(ending.output)


NAPS = [0.7, *[0.001] * 50]


def test_calls_that_are_given_away_stand_where_they_were_put(
    pool: ExecutorPool, tmp_path: Path
) -> None:
    reports: list[Report] = []

    def take(report: Report) -> list[str]:
        reports.append(bind(report, lambda stand_in: f"id of {stand_in}"))
        return [subtask.output for subtask in reports[0].subtasks]

    ending = pool.run(run_of(tmp_path, nap, NAPS), time_limit_s=LIMIT_S, hand_over=take)
    items = opened(ending).meta.items
    assert items[0].ref is None
    assert [item.ref for item in items[1:]] == [
        ResultRef(subtask.output, 0) for subtask in reports[0].subtasks
    ]


@pytest.mark.parametrize("pause_s", [0.0, 0.3], ids=["at once", "after the call has ended"])
def test_calls_that_nobody_takes_are_run_after_all(
    pool: ExecutorPool, tmp_path: Path, pause_s: float
) -> None:
    def refuse(report: Report) -> list[str]:
        time.sleep(pause_s)  # the executor finds no call meanwhile
        raise OSError("the disk is full")

    for number in range(2):  # nor is the next task confused
        run = run_of(tmp_path, nap, NAPS, f"t{number}")
        ending = pool.run(run, time_limit_s=LIMIT_S, hand_over=refuse)
        assert opened(ending).value() == NAPS


def test_a_cancelled_chunk_ends_while_it_is_handed_over(pool: ExecutorPool, tmp_path: Path) -> None:
    def cancel(report: Report) -> list[str]:
        pool.cancel("t")
        return [subtask.output for subtask in report.subtasks]

    run = run_of(tmp_path, nap, NAPS)
    assert isinstance(pool.run(run, time_limit_s=LIMIT_S, hand_over=cancel), Cancelled)
    ending = pool.run(run_of(tmp_path, nap, [0.0, 0.0], "u"), time_limit_s=LIMIT_S)
    assert opened(ending).value() == [0.0, 0.0]


def test_an_executor_that_dies_while_calls_are_handed_over_is_salvaged(
    pool: ExecutorPool, tmp_path: Path
) -> None:
    def kill(report: Report) -> list[str]:
        pool._running["t"].process.kill()  # type: ignore[union-attr]
        return [f"id{number}" for number, _ in enumerate(report.subtasks)]

    ending = pool.run(run_of(tmp_path, nap, NAPS), time_limit_s=LIMIT_S, hand_over=kill)
    items = opened(ending).meta.items
    assert isinstance(ending, Report)
    assert items[0].ref == ResultRef(ending.subtasks[0].output, 0)
    assert [item.ref for item in items[1:]] == [ResultRef(f"id{n}", 0) for n in range(50)]


def test_a_memory_error_of_one_call_tells_of_the_limit(tmp_path: Path) -> None:
    limit = 2 << 30
    with ExecutorPool(folder=tmp_path / "pool", size=1, memory_limit=limit) as pool:
        ending = pool.run(run_of(tmp_path, overflow, [1, 2]), time_limit_s=LIMIT_S)
    failures = opened(ending).value()
    assert ["2048 MiB" in one.summary for one in failures] == [True] * 2
