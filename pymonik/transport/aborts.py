"""Why an aborted result has no value: from its task's status and error to the right exception."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pymonik.code.exceptions import exception_of
from pymonik.environments.missing import advised
from pymonik.errors import (
    DependencyFailedError,
    TaskCancelledError,
    TaskFailedError,
    TaskTimeoutError,
    WorkerLostError,
)
from pymonik.options import DEFAULT_MAX_DURATION
from pymonik.session.dependencies import dependency_failed
from pymonik.wire.error_text import failure_of, for_people

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymonik.transport.messages import TaskInfo
    from pymonik.wire.failure import Failure

# Texts that ArmoniK's control plane and agents write into `Output.error`; there is no code beside
# them. The first one is about a task that the failed one has waited for.
_DEPENDENCY = re.compile(r"Task (\S+) (failed|timed-out|has been cancelled)[:\s]")
_CANCELLED = re.compile(r"Client requested cancellation of tasks|Task \S+ has been cancelled")
_LOST = re.compile(
    r"Worker returned error|Worker went down|Agent had connectivity error"
    r"|Agent got an internal error|Task \S+ has been (retried|aborted) because pod"
)


def why(task: TaskInfo | None, result_id: str, nonce: str = "") -> BaseException:
    """The exception for a result that was aborted.

    Args:
        task: Its owner, if it has one.
        result_id: The result.
        nonce: Of the session; without it, what the error of the task holds is only text.
    """
    if task is None:
        return TaskFailedError("the result was aborted", "", result_id)
    # ArmoniK leaves a cancelled task that nobody had taken CANCELLING for ever.
    if task.status in ("CANCELLED", "CANCELLING"):
        return TaskCancelledError("the task was cancelled", task.task_id, result_id)
    if task.status == "TIMEOUT":
        return TaskTimeoutError(_too_long(task.limit_s), task.task_id, result_id)
    return _of_error(task, result_id, nonce)


def _too_long(limit_s: float) -> str:
    text = "the task ran longer than its max_duration"
    if not limit_s:
        return text
    is_default = limit_s == DEFAULT_MAX_DURATION.total_seconds()
    told = ", the default: @task(max_duration=...) has another" if is_default else ""
    return f"{text} of {limit_s:g} s{told}"


def nonce_of(task: TaskInfo | None, nonces: Sequence[str]) -> str:
    """The nonce of the client that submitted a task which has failed; ``""`` if that is unknown.

    Args:
        task: What failed, if it is known.
        nonces: Of the clients of its session.
    """
    if task is None:
        return ""
    return next((one for one in nonces if failure_of(task.error, one) is not None), "")


def told_by(task: TaskInfo | None, nonce: str) -> Failure | None:
    """What the executor said of the call of a task that failed in it.

    Args:
        task: Of one call.
        nonce: See `why`.
    """
    if task is None or _DEPENDENCY.match(task.error):  # the error would be another task's
        return None
    return failure_of(task.error, nonce)


def _of_error(task: TaskInfo, result_id: str, nonce: str) -> BaseException:
    text = task.error
    dependency = _DEPENDENCY.match(text)
    if dependency or _CANCELLED.match(text):
        return _of_dependency(task, result_id, dependency, nonce)
    failure = failure_of(text, nonce)
    if failure is not None:
        return advised(exception_of(failure, task.task_id, result_id))
    words = for_people(text)
    if _LOST.match(text):
        return WorkerLostError(words, task.task_id, result_id)
    return TaskFailedError(words or "the result was aborted", task.task_id, result_id)


def _of_dependency(
    task: TaskInfo, result_id: str, match: re.Match[str] | None, nonce: str
) -> DependencyFailedError:
    origin, what = (match[1], match[2]) if match else ("", "has been cancelled")
    failure = failure_of(task.error, nonce)
    words = for_people(task.error[match.end() :] if match else task.error).strip()
    original: BaseException
    if failure is not None:
        original = advised(exception_of(failure, origin))
    elif what == "timed-out":
        original = TaskTimeoutError("the task ran longer than its max_duration", origin)
    elif what == "failed":
        lost = _LOST.match(words)
        original = (WorkerLostError if lost else TaskFailedError)(words, origin)
    else:
        original = TaskCancelledError(words or "the task was cancelled", origin)
    return dependency_failed(original, task.task_id, result_id)


def deleted(result_id: str) -> TaskFailedError:
    """For a result whose data is gone."""
    return TaskFailedError("the result was deleted", "", result_id)
