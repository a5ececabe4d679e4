"""Calls of `map_invoke` that share a task: each still ends for itself."""

from __future__ import annotations

import os
import pickle
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pymonik import Pymonik, ResultHandle, as_completed, get_context, task
from pymonik.errors import (
    DependencyFailedError,
    TaskCancelledError,
    TaskTimeoutError,
    UsageError,
    WorkerLostError,
)

if TYPE_CHECKING:
    from pymonik.cluster.local import LocalCluster

TIMEOUT_S = 50.0


@task
def double(number: int) -> int:
    return 2 * number


@task
def total(numbers: list[int]) -> int:
    return sum(numbers)


@task
def refuse_seven(number: int) -> int:
    if number == 7:
        raise ValueError("seven")
    return number


@task
def double_by_subtask(number: int) -> Any:
    return double.invoke(number)


@task
def double_all(count: int) -> Any:
    return total.invoke(double.map_invoke(range(count), chunk_size=4))


@task(retry_on=OSError, max_retries=2)
def attempt_at(number: int, needed: int) -> tuple[int, int]:
    attempt = get_context().attempt
    if number == 3 and attempt < needed:
        raise OSError("again")
    return number, attempt


def write_down(number: int, folder: str) -> None:
    with Path(folder, str(number)).open("a") as file:
        file.write("x")


@task
def die_once_at_five(number: int, folder: str) -> int:
    write_down(number, folder)
    if number == 5 and Path(folder, "5").read_text() == "x":
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@task(max_retries=0)
def die_at_five(number: int) -> int:
    if number == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@task
def wait_for_file(path: str) -> bool:
    end = time.monotonic() + TIMEOUT_S / 2
    while not Path(path).exists() and time.monotonic() < end:
        time.sleep(0.01)
    return Path(path).exists()


@task
def make_file_or_wait(number: int, path: str) -> bool:
    if number == 9:
        Path(path).touch()
    return number > 0 or wait_for_file(path)


@task(max_duration=4.0)  # of an ArmoniK worker this includes the import of this module
def wait_at_three(number: int) -> int:
    if number == 3:
        time.sleep(TIMEOUT_S)
    return number


def test_calls_share_tasks_and_have_values_of_their_own(client: Pymonik) -> None:
    handles = double.map_invoke(range(10), chunk_size=4)
    assert handles.result(TIMEOUT_S) == list(range(0, 20, 2))
    assert len({handle.task_id for handle in handles}) == 3
    assert handles[5].get() == 10


def test_without_a_size_short_calls_come_to_share_tasks(client: Pymonik) -> None:
    handles = double.map_invoke(range(2000))
    assert handles.result(TIMEOUT_S) == list(range(0, 4000, 2))
    assert len({handle.task_id for handle in handles}) < 2000


def test_one_call_that_fails_fails_alone_with_its_own_exception(client: Pymonik) -> None:
    handles = refuse_seven.map_invoke(range(20), chunk_size=20)
    errors = handles.exceptions(TIMEOUT_S)
    assert [number for number, error in enumerate(errors) if error] == [7]
    with pytest.raises(ValueError, match="seven") as caught:
        handles[7].get()
    assert "refuse_seven" in str(caught.value.__cause__.remote_traceback)  # type: ignore[union-attr]


def test_handles_can_be_passed_on(client: Pymonik) -> None:
    first = double.map_invoke(range(6), chunk_size=3)
    second = double.map_invoke(first, chunk_size=2)
    assert double.invoke(first[4]).result(TIMEOUT_S) == 16
    assert total.invoke(second).result(TIMEOUT_S) == 4 * 15
    assert total.invoke([first[1], second[1]]).result(TIMEOUT_S) == 6


def test_what_needs_a_call_that_failed_fails_and_its_neighbours_do_not(client: Pymonik) -> None:
    handles = refuse_seven.map_invoke(range(10), chunk_size=10)
    doubled = double.map_invoke(handles, chunk_size=10)
    errors = doubled.exceptions(TIMEOUT_S)
    assert [type(error) for error in errors if error] == [DependencyFailedError]
    assert errors[7] is not None


def test_a_call_may_give_the_value_of_a_subtask(client: Pymonik) -> None:
    handles = double_by_subtask.map_invoke(range(5), chunk_size=5)
    assert total.invoke(handles).result(TIMEOUT_S) == 20
    assert handles.result(TIMEOUT_S) == [0, 2, 4, 6, 8]


def test_a_task_can_put_its_subtasks_together(client: Pymonik) -> None:
    assert double_all.invoke(10).result(TIMEOUT_S) == 90


def test_retries_are_counted_for_each_call(client: Pymonik) -> None:
    handles = attempt_at.map_invoke([(n, 3) for n in range(5)], chunk_size=5)
    assert handles.result(TIMEOUT_S) == [(0, 1), (1, 1), (2, 1), (3, 3), (4, 1)]
    errors = attempt_at.map_invoke([(n, 9) for n in range(5)], chunk_size=5).exceptions(TIMEOUT_S)
    assert [type(error) for error in errors] == [type(None)] * 3 + [OSError, type(None)]


def test_a_crash_runs_again_what_had_not_finished_and_nothing_else(
    client: Pymonik, tmp_path: Path
) -> None:
    calls = [(number, str(tmp_path)) for number in range(12)]
    handles = die_once_at_five.map_invoke(calls, chunk_size=12)
    assert handles.result(TIMEOUT_S) == list(range(12))
    runs = {int(file.name): len(file.read_text()) for file in tmp_path.iterdir()}
    assert runs == {number: 2 if number == 5 else 1 for number in range(12)}


def test_a_call_that_kills_its_executor_fails_alone(client: Pymonik) -> None:
    errors = die_at_five.map_invoke(range(12), chunk_size=12).exceptions(TIMEOUT_S)
    assert [number for number, error in enumerate(errors) if error] == [5]
    assert isinstance(errors[5], WorkerLostError)
    assert "SIGKILL" in str(errors[5])


def test_calls_do_not_wait_behind_a_slow_one(
    client: Pymonik, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if "armonik" in request.node.name:
        pytest.skip("the agent keeps subtasks until their parent has ended")
    calls = [(number, str(tmp_path / "made")) for number in range(10)]
    handles = make_file_or_wait.map_invoke(calls, chunk_size=10)
    assert handles.result(TIMEOUT_S) == [True] * 10


def test_calls_that_a_long_task_gives_away_are_seen_to_their_end(client: Pymonik) -> None:
    @task
    def nap(seconds: float) -> int:
        time.sleep(seconds)
        return os.getpid()

    handles = nap.map_invoke([0.7, *[0.001] * 30], chunk_size=31)
    assert len(handles.result(TIMEOUT_S)) == 31
    assert len({handle.result_id for handle in handles}) > 1


def test_a_call_that_takes_too_long_fails_alone(client: Pymonik) -> None:
    errors = wait_at_three.map_invoke(range(6), chunk_size=6).exceptions(TIMEOUT_S)
    assert [number for number, error in enumerate(errors) if error] == [3]
    assert isinstance(errors[3], TaskTimeoutError)


def test_a_call_can_be_cancelled_alone(client: Pymonik, tmp_path: Path) -> None:
    wanted = tmp_path / "made"
    handles = wait_for_file.map_invoke([str(wanted)] * 4, chunk_size=2)
    client.send()
    handles[1].cancel()
    assert isinstance(handles[1].exception(TIMEOUT_S), TaskCancelledError)
    wanted.touch()
    assert handles[0].result(TIMEOUT_S)
    assert handles[2:].result(TIMEOUT_S) == [True, True]


def test_a_task_is_cancelled_with_the_last_of_its_calls(client: Pymonik, tmp_path: Path) -> None:
    handles = wait_for_file.map_invoke([str(tmp_path / "never")] * 4, chunk_size=2)
    client.send()
    handles.cancel()
    assert all(isinstance(e, TaskCancelledError) for e in handles.exceptions(TIMEOUT_S))
    assert double.invoke(1).result(TIMEOUT_S / 4) == 2  # the executors are free


def test_calls_that_wait_to_be_sent_can_be_cancelled(client: Pymonik, tmp_path: Path) -> None:
    handles = wait_for_file.map_invoke([str(tmp_path / "made")] * 50)
    (tmp_path / "made").touch()
    handles[30:].cancel()
    errors = handles.exceptions(TIMEOUT_S)
    assert not any(errors[:30])
    assert all(error is None or isinstance(error, TaskCancelledError) for error in errors[30:])


def test_a_handle_comes_out_of_a_pickle_as_the_same_item(client: Pymonik) -> None:
    handles = double.map_invoke(range(8), chunk_size=4)
    restored = pickle.loads(pickle.dumps(list(handles)))
    assert [handle.result(TIMEOUT_S) for handle in restored] == list(range(0, 16, 2))


def test_handles_come_as_they_complete(client: Pymonik) -> None:
    handles = double.map_invoke(range(300))
    assert sorted(h.get() for h in as_completed(handles, TIMEOUT_S)) == list(range(0, 600, 2))


def test_leaving_the_block_waits_for_what_was_not_sent_yet(cluster: LocalCluster) -> None:
    with Pymonik(endpoint=cluster.endpoint) as client:
        handles = double.map_invoke(range(500))
        failing = refuse_seven.map_invoke(range(9), chunk_size=9)
    assert handles.done()
    assert handles.get() == list(range(0, 1000, 2))
    assert type(failing.exceptions()[7]) is ValueError
    assert client is not None


def test_an_error_in_the_block_cancels_what_was_not_sent_yet(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    handles: list[ResultHandle[bool]] = []

    def fail_in_the_block() -> None:
        with Pymonik(endpoint=cluster.endpoint):
            handles.extend(wait_for_file.map_invoke([str(tmp_path / "never")] * 100))
            raise KeyError("mine")

    with pytest.raises(KeyError):
        fail_in_the_block()
    assert all(
        isinstance(error, TaskCancelledError) for error in (h.exception(TIMEOUT_S) for h in handles)
    )


@pytest.mark.parametrize("size", [0, -1, 2.5, "many", True, None])
def test_a_size_that_is_none_is_refused(client: Pymonik, size: Any) -> None:
    with pytest.raises(UsageError, match="chunk_size"):
        double.map_invoke(range(3), chunk_size=size)
