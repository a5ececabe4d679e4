"""Why an aborted result has no value: from its task's status and error to the right exception."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pymonik.code.failure import Failure, readable
from pymonik.errors import (
    DependencyFailedError,
    TaskCancelledError,
    TaskFailedError,
    TaskTimeoutError,
    WorkerLostError,
)
from pymonik.session.dependencies import dependency_failed

if TYPE_CHECKING:
    from pymonik.transport.messages import TaskInfo

# The control plane's words for what happened to a task that this one waits for.
_DEPENDENCY = re.compile(r"Task (\S+) (failed|timed-out|has been cancelled)[:\s]")
_CANCELLED = re.compile(r"Client requested cancellation of tasks|Task \S+ has been cancelled")
_LOST = re.compile(
    r"Worker returned error|Worker went down|Agent had connectivity error"
    r"|Agent got an internal error|Task \S+ has been (retried|aborted) because pod"
)


def why(task: TaskInfo | None, result_id: str) -> BaseException:
    """The exception for a result that was aborted; ``task`` is its owner, if it has one."""
    if task is None:
        return TaskFailedError("the result was aborted", "", result_id)
    if task.status in ("CANCELLED", "CANCELLING"):
        return TaskCancelledError("the task was cancelled", task.task_id, result_id)
    if task.status == "TIMEOUT":
        return TaskTimeoutError(
            "the task ran longer than its max_duration", task.task_id, result_id
        )
    return _of_error(task, result_id)


def _of_error(task: TaskInfo, result_id: str) -> BaseException:
    text = task.error
    dependency = _DEPENDENCY.match(text)
    if dependency or _CANCELLED.match(text):
        return _of_dependency(task, result_id, dependency)
    failure = Failure.from_text(text)
    if failure is not None:
        return _named(failure.to_exception(task.task_id, result_id), task.task_id, result_id)
    if _LOST.match(text):
        return WorkerLostError(text, task.task_id, result_id)
    return TaskFailedError(readable(text) or "the result was aborted", task.task_id, result_id)


def _of_dependency(
    task: TaskInfo, result_id: str, match: re.Match[str] | None
) -> DependencyFailedError:
    origin, what = (match[1], match[2]) if match else ("", "has been cancelled")
    words = readable(task.error[match.end() :] if match else task.error).strip()
    failure = Failure.from_text(task.error)
    original: BaseException
    if failure is not None:
        original = _named(failure.to_exception(origin), origin, "")
    elif what == "timed-out":
        original = TaskTimeoutError("the task ran longer than its max_duration", origin)
    elif what == "failed":
        lost = _LOST.match(words)
        original = (WorkerLostError if lost else TaskFailedError)(words, origin)
    else:
        original = TaskCancelledError(words or "the task was cancelled", origin)
    error = dependency_failed(original, task.task_id, result_id)
    error.__cause__ = original
    return error


def _named(error: BaseException, task_id: str, result_id: str) -> BaseException:
    """An error of ours that was made where the ids are not known gets them."""
    if not isinstance(error, TaskFailedError) or error.task_id:
        return error
    named = type(error)(error.message, task_id, result_id, error.remote_traceback)
    named.__cause__ = error.__cause__
    return named


def deleted(result_id: str) -> TaskFailedError:
    """For a result whose data is gone."""
    return TaskFailedError("the result was deleted", "", result_id)
