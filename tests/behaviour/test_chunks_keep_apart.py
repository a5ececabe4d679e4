"""Calls that share a task share an executor too: nothing of one shows in another."""

from __future__ import annotations

import os
import pickle
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np

from pymonik import Pymonik, get_context, task
from pymonik.errors import DependencyFailedError, TaskCancelledError, WorkerLostError

TIMEOUT_S = 50.0
SIZE = 100_000  # of arrays, which then lie where they are mapped
BUFFER = np.zeros(1000)


@task
def add_in_place(array: Any, number: int) -> float:
    array += number
    return float(array[0])


@task
def fill(number: int) -> Any:
    BUFFER[:] = number
    return BUFFER


@task(retry_on=OSError, max_retries=2)
def change_and_retry(array: Any) -> float:
    array += 1
    if get_context().attempt == 1:
        raise OSError("again")
    return float(array[0])


@task
def fork_at_two(number: int) -> int:
    if number == 2:
        os.fork()
    return number


@task(max_retries=1)
def die_at_five(number: int) -> int:
    if number == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@task
def double(number: int) -> int:
    return 2 * number


@task
def wait_for_file(path: str) -> bool:
    end = time.monotonic() + TIMEOUT_S / 2
    while path and not Path(path).exists() and time.monotonic() < end:
        time.sleep(0.01)
    return True


@task
def refuse_five(number: int) -> int:
    if number == 5:
        raise ValueError(number)
    return number


@task
def refuse_five_in_a_subtask(number: int, start: str) -> Any:
    wait_for_file.func(start)
    return refuse_five.invoke(number)


@task
def first_of(one: int, _: object) -> int:
    return one


def test_a_call_that_changes_what_was_put_changes_its_own_copy(client: Pymonik) -> None:
    shared = client.put(np.zeros(SIZE))
    handles = add_in_place.map_invoke([(shared, n) for n in range(1, 5)], chunk_size=4)
    assert handles.result(TIMEOUT_S) == [1, 2, 3, 4]


def test_a_call_that_changes_an_item_of_a_chunk_changes_its_own_copy(client: Pymonik) -> None:
    arrays = fill.map_invoke([1, 2], chunk_size=2)
    handles = add_in_place.map_invoke([(arrays[0], n) for n in range(1, 5)], chunk_size=4)
    assert handles.result(TIMEOUT_S) == [2, 3, 4, 5]


def test_a_call_may_fill_again_what_the_one_before_gave_back(client: Pymonik) -> None:
    arrays = fill.map_invoke([1, 2, 3], chunk_size=3).result(TIMEOUT_S)
    assert [array[0] for array in arrays] == [1, 2, 3]


def test_a_retry_gets_the_arguments_as_they_were(client: Pymonik) -> None:
    handles = change_and_retry.map_invoke([np.zeros(SIZE), np.zeros(SIZE)], chunk_size=2)
    assert handles.result(TIMEOUT_S) == [1, 1]


def test_an_array_that_the_program_changes_is_read_again_as_it_was(client: Pymonik) -> None:
    first = fill.map_invoke([1, 2], chunk_size=2)[0]
    first.result(TIMEOUT_S)[:] = 7
    assert pickle.loads(pickle.dumps(first)).result(TIMEOUT_S)[0] == 1


def test_a_call_whose_dependency_fails_later_fails_alone(client: Pymonik) -> None:
    needed = die_at_five.map_invoke(range(10), chunk_size=10)
    handles = double.map_invoke(needed, chunk_size=10)
    errors = handles.exceptions(TIMEOUT_S)
    assert [number for number, error in enumerate(errors) if error] == [5]
    assert isinstance(errors[5], DependencyFailedError)
    assert isinstance(needed[5].exception(TIMEOUT_S), WorkerLostError)


def test_what_needs_a_subtask_that_was_lost_fails_alone(client: Pymonik, tmp_path: Path) -> None:
    start, go_on = tmp_path / "start", tmp_path / "go on"
    needed = refuse_five_in_a_subtask.map_invoke(
        [(n, str(start)) for n in range(10)], chunk_size=10
    )
    gate = wait_for_file.invoke(str(go_on))
    handles = first_of.map_invoke([(one, gate) for one in needed], chunk_size=10)
    client.send()  # so all of them are one task, which does not know where the values will stand
    start.touch()
    assert [type(error) for error in needed.exceptions(TIMEOUT_S) if error] == [ValueError]
    go_on.touch()
    errors = handles.exceptions(TIMEOUT_S)
    assert [number for number, error in enumerate(errors) if error] == [5]
    assert isinstance(errors[5], DependencyFailedError)


def test_calls_may_refer_to_others_in_any_order(client: Pymonik) -> None:
    first = double.map_invoke(range(200), chunk_size=5)
    second = double.map_invoke(reversed(first), chunk_size=5)
    assert second.result(TIMEOUT_S) == list(range(796, -1, -4))


def test_a_call_that_was_given_away_can_be_cancelled_alone(client: Pymonik, tmp_path: Path) -> None:
    first, last = tmp_path / "first", tmp_path / "last"
    waits = [""] * 4 + [str(first)] + [str(last)] * 4
    handles = wait_for_file.map_invoke(waits, chunk_size=9)
    client.send()
    time.sleep(1.0)  # the task gives calls away when it takes long, and nothing tells of it
    first.touch()
    handles[:5].wait(TIMEOUT_S)
    handles[6].cancel()
    last.touch()
    errors = handles.exceptions(TIMEOUT_S)
    assert [number for number, error in enumerate(errors) if error] == [6]
    assert isinstance(errors[6], TaskCancelledError)


def test_a_fork_that_comes_back_takes_no_call(client: Pymonik) -> None:
    handles = fork_at_two.map_invoke(range(50), chunk_size=50)
    assert handles.result(TIMEOUT_S) == list(range(50))
