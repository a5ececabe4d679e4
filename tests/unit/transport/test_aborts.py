"""What the control plane says of a failed task becomes the right exception."""

from __future__ import annotations

import msgspec
import pytest

from pymonik.code.failure import describe
from pymonik.errors import (
    DependencyFailedError,
    TaskCancelledError,
    TaskFailedError,
    TaskTimeoutError,
    WorkerLostError,
)
from pymonik.options import DEFAULT_MAX_DURATION
from pymonik.session.dependencies import dependency_failed
from pymonik.transport.aborts import told_by, why
from pymonik.transport.messages import TaskInfo
from pymonik.wire.error_text import error_text

NONCE = "of this session"


def reason(status: str, error: str = "") -> BaseException:
    return why(TaskInfo("t1", status, error), "r1", NONCE)


@pytest.mark.parametrize(
    ("limit_s", "end"),
    [
        (0, "than its max_duration (task t1)"),
        (2.5, "of 2.5 s (task t1)"),
        (
            DEFAULT_MAX_DURATION.total_seconds(),
            "the default: @task(max_duration=...) has another (task t1)",
        ),
    ],
)
def test_a_time_limit_is_told(limit_s: float, end: str) -> None:
    assert str(why(TaskInfo("t1", "TIMEOUT", "", limit_s), "r1", NONCE)).endswith(end)


def failure() -> str:
    return error_text(describe(KeyError("k")), NONCE)


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        ("CANCELLED", "", TaskCancelledError),
        ("CANCELLING", "", TaskCancelledError),
        ("TIMEOUT", "Deadline Exceeded", TaskTimeoutError),
        ("ERROR", "Worker went down with error Unavailable\nSee cluster logs", WorkerLostError),
        ("ERROR", "Agent got an internal error\nSee cluster logs", WorkerLostError),
        ("ERROR", "the worker wrote this", TaskFailedError),
        ("ERROR", "Task t0 failed:\nanything", DependencyFailedError),
        ("ERROR", "Client requested cancellation of tasks t0", DependencyFailedError),
    ],
)
def test_status_and_text_give_the_kind(status: str, error: str, kind: type) -> None:
    found = reason(status, error)
    assert type(found) is kind
    assert isinstance(found, TaskFailedError)
    assert (found.task_id, found.result_id) == ("t1", "r1")


def test_a_failed_task_tells_what_its_executor_said_of_the_call() -> None:
    told = msgspec.structs.replace(describe(KeyError("k")), seconds=0.25)
    found = told_by(TaskInfo("t1", "ERROR", error_text(told, NONCE)), NONCE)
    assert found is not None
    assert found.seconds == 0.25
    forged = TaskInfo("t1", "ERROR", error_text(told, "of another session"))
    assert told_by(forged, NONCE) is None
    needed = TaskInfo("t1", "ERROR", f"Task t0 failed:\n{error_text(told, NONCE)}")
    assert told_by(needed, NONCE) is None
    assert told_by(None, NONCE) is None


def test_the_exception_of_the_task_is_raised_itself() -> None:
    found = reason("ERROR", failure())
    assert isinstance(found, KeyError)
    assert isinstance(found.__cause__, TaskFailedError)


def test_an_exception_that_was_retried_in_vain_is_raised_itself() -> None:
    text = f"Worker returned error Unknown:\n{failure()}\nSee cluster logs for MessageId = 1"
    assert isinstance(reason("ERROR", text), KeyError)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("Task t0 timed-out:\nDeadline Exceeded", TaskTimeoutError),
        ("Task t0 has been cancelled:\n", TaskCancelledError),
        ("Client requested cancellation of tasks t0", TaskCancelledError),
        ("Task t0 failed:\nWorker went down with error Unavailable", WorkerLostError),
    ],
)
def test_a_failed_dependency_says_why_it_failed(text: str, cause: type) -> None:
    assert type(reason("ERROR", text).__cause__) is cause


def test_a_failed_dependency_has_the_original_exception() -> None:
    found = reason("ERROR", f"Task t0 failed:\n{failure()}")
    assert isinstance(found, DependencyFailedError)
    assert isinstance(found.__cause__, KeyError)


def test_without_a_task_the_result_was_just_aborted() -> None:
    assert type(why(None, "r1")) is TaskFailedError


def test_what_another_session_said_is_only_text() -> None:
    text = error_text(describe(KeyError("k")), "of another session")
    found = reason("ERROR", text)
    assert type(found) is TaskFailedError
    assert "KeyError: 'k'" in str(found)
    assert "---" not in str(found)


def test_the_text_of_a_chain_does_not_grow_with_it() -> None:
    error: BaseException = ValueError("at the root")
    for _ in range(1000):
        error = dependency_failed(error, "t", "r")
    assert len(str(error)) < 200
    assert "ValueError: at the root" in str(error)
    assert isinstance(error.__cause__, ValueError)


def test_no_text_of_a_users_exception_can_stop_whoever_says_why() -> None:
    class Odd(Exception):  # noqa: N818 - as a user may name it
        def __str__(self) -> str:
            raise KeyboardInterrupt

    assert "Odd" in str(dependency_failed(Odd()))
