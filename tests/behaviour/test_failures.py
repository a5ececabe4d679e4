"""What goes wrong in a task is told to the client, and costs that call only."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from pymonik import Pymonik, task
from pymonik.errors import (
    DependencyFailedError,
    TaskCancelledError,
    TaskFailedError,
    TaskTimeoutError,
    WaitTimeoutError,
    WorkerLostError,
)

TIMEOUT_S = 50.0


class OddError(Exception):
    """Raised by the tasks below."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class UnpicklableError(Exception):
    """Holds what does not travel."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()


@task
def identity(value: Any) -> Any:
    return value


@task
def refuse_odd(number: int) -> int:
    if number % 2:
        raise OddError(number)
    return number


@task
def raise_unpicklable() -> None:
    raise UnpicklableError("what I mean")


@task
def return_unpicklable() -> Any:
    return threading.Lock()


@task
def leave(code: Any) -> None:
    sys.exit(code)


@task(max_retries=0)
def die() -> None:
    os._exit(3)


@task(max_retries=0)
def segfault() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


@task(max_duration=1)
def too_long() -> None:
    threading.Event().wait()


@task
def announce_and_stay(begun: str) -> None:
    Path(begun).write_text("x")  # a named pipe: goes on when the test reads it
    threading.Event().wait()


@task(retry_on=(ConnectionError,), max_retries=3)
def fail_twice(folder: str) -> int:
    attempt = len(list(Path(folder).iterdir()))
    Path(folder, str(attempt)).touch()
    if attempt < 2:
        raise ConnectionError("not yet")
    return attempt


@task
def fail_once(folder: str) -> None:
    Path(folder, str(len(list(Path(folder).iterdir())))).touch()
    raise ConnectionError("never again")


@task
def fail_deep() -> None:
    def inner_function_name() -> None:
        raise ValueError("deep inside")

    inner_function_name()


def test_the_exception_of_a_task_is_raised_as_it_is(client: Pymonik) -> None:
    with pytest.raises(OddError) as caught:
        refuse_odd.invoke(3).result(timeout=TIMEOUT_S)
    assert caught.value.number == 3
    assert isinstance(caught.value.__cause__, TaskFailedError)


def test_the_traceback_of_the_task_is_kept(client: Pymonik) -> None:
    error = fail_deep.invoke().exception()
    assert isinstance(error, ValueError)
    cause = error.__cause__
    assert isinstance(cause, TaskFailedError)
    assert "inner_function_name" in cause.remote_traceback
    assert cause.task_id


def test_of_an_exception_that_does_not_pickle_all_comes_that_does(client: Pymonik) -> None:
    with pytest.raises(UnpicklableError, match="what I mean") as caught:
        raise_unpicklable.invoke().result(TIMEOUT_S)
    assert "lock" in str(caught.value.lock)  # its repr


def test_a_result_that_does_not_pickle_is_an_error(client: Pymonik) -> None:
    with pytest.raises(Exception, match="lock"):
        return_unpicklable.invoke().result(timeout=TIMEOUT_S)


def test_a_failure_in_a_map_costs_its_item_only(client: Pymonik) -> None:
    handles = refuse_odd.map_invoke([(0,), (1,), (2,)])
    assert handles[0].result(timeout=TIMEOUT_S) == 0
    assert handles[2].result(timeout=TIMEOUT_S) == 2
    with pytest.raises(OddError):
        handles[1].result(timeout=TIMEOUT_S)


def test_what_depends_on_a_failure_fails_with_its_reason(client: Pymonik) -> None:
    handle = identity.invoke(refuse_odd.invoke(1))
    with pytest.raises(DependencyFailedError) as caught:
        handle.result(timeout=TIMEOUT_S)
    assert isinstance(caught.value.__cause__, OddError)


def test_a_chain_of_calls_fails_to_its_end_and_texts_do_not_grow(client: Pymonik) -> None:
    """Tasks of it are refused while others are under way: each kind of end is met."""
    handle = refuse_odd.invoke(1)
    chain = [handle := identity.invoke(handle) for _ in range(1_600)]
    errors = [one.exception(TIMEOUT_S) for one in chain]
    assert all(isinstance(error, DependencyFailedError) for error in errors)
    assert all(isinstance(error.__cause__, OddError) for error in errors if error is not None)
    assert max(len(str(error)) for error in errors) < 300
    assert identity.invoke(5).get(TIMEOUT_S) == 5  # the session goes on


@pytest.mark.parametrize("code", [0, 1, "a reason"])
def test_sys_exit_fails_the_call(client: Pymonik, code: object) -> None:
    with pytest.raises((TaskFailedError, SystemExit)):
        leave.invoke(code).result(timeout=TIMEOUT_S)
    assert identity.invoke(1).result(timeout=TIMEOUT_S) == 1


def test_a_process_that_ends_is_explained(client: Pymonik) -> None:
    with pytest.raises(WorkerLostError, match="3"):
        die.invoke().result(timeout=TIMEOUT_S)
    assert identity.invoke(1).result(timeout=TIMEOUT_S) == 1


def test_a_segmentation_fault_is_explained(client: Pymonik) -> None:
    with pytest.raises(WorkerLostError, match="SIGSEGV"):
        segfault.invoke().result(timeout=TIMEOUT_S)
    assert identity.invoke(1).result(timeout=TIMEOUT_S) == 1


def test_a_task_past_its_max_duration_is_stopped(client: Pymonik) -> None:
    with pytest.raises(TaskTimeoutError):
        too_long.invoke().result(timeout=TIMEOUT_S)
    assert identity.invoke(1).result(timeout=TIMEOUT_S) == 1


def test_a_running_task_can_be_cancelled(client: Pymonik, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    os.mkfifo(begun)
    handle = announce_and_stay.invoke(str(begun))
    with pytest.raises(WaitTimeoutError):
        handle.wait(timeout=0.01)
    begun.read_text()
    handle.cancel()
    with pytest.raises(TaskCancelledError):
        handle.result(timeout=TIMEOUT_S)
    assert identity.invoke(1).result(timeout=TIMEOUT_S) == 1


def test_an_exception_of_retry_on_is_tried_again(client: Pymonik, tmp_path: Path) -> None:
    assert fail_twice.invoke(str(tmp_path)).result(timeout=TIMEOUT_S) == 2


def test_other_exceptions_are_not_tried_again(client: Pymonik, tmp_path: Path) -> None:
    with pytest.raises(ConnectionError, match="never again"):
        fail_once.invoke(str(tmp_path)).result(timeout=TIMEOUT_S)
    assert len(list(tmp_path.iterdir())) == 1
