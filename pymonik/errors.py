"""Every error that pymonik raises on purpose; imports nothing of ours.

::

    PymonikError
    ├── UsageError                  the program must change
    │   └── SerializationError      an argument, function or result cannot be sent
    ├── ConfigError                 endpoint, AKCONFIG or certificates
    ├── ControlPlaneError           a request was refused or failed
    │   ├── UnavailableError        cannot be reached; worth a retry
    │   └── SessionClosedError      closed or cancelled
    ├── TaskFailedError             the result will never exist
    │   ├── TaskCancelledError / TaskTimeoutError / WorkerLostError / DependencyFailedError
    │   ├── CommandError            a command ended with an exit code that is not ok
    │   └── EnvironmentSetupError   a package or variable could not be set on the worker
    └── WaitTimeoutError            also a built-in TimeoutError

An exception of the user's function is raised as it is, with the frames of the task and one note; if
it has no cause of its own, a `TaskFailedError` is its cause.
Errors cross processes, so each one pickles: all parameters go to ``super().__init__`` by position.
"""

from __future__ import annotations

from typing import Any


class PymonikError(Exception):
    """Base of all errors of pymonik."""


class UsageError(PymonikError):
    """The program must change: the message says what to write instead."""


class ArgumentsError(UsageError, TypeError):
    """The arguments of a call do not fit the function; also a built-in TypeError."""


class SerializationError(UsageError):
    """An argument, a function or a result cannot be sent; the message names the culprit."""


class ConfigError(PymonikError):
    """An endpoint, a configuration file or a certificate cannot be used."""


class ControlPlaneError(PymonikError):
    """The control plane refused a request, or failed.

    Attributes:
        operation: The request, such as ``"SubmitTasks"``.
        detail: What the control plane said.
    """

    def __init__(self, operation: str, detail: str) -> None:
        super().__init__(operation, detail)
        self.operation = operation
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.operation}: {self.detail}"


class UnavailableError(ControlPlaneError):
    """The control plane cannot be reached, or went away; the request may be tried again."""


class SessionClosedError(ControlPlaneError):
    """The session is closed or cancelled and takes no more tasks."""


class TaskFailedError(PymonikError):
    """The result will never exist because its task failed.

    Attributes:
        message: What happened, in a sentence.
        task_id: The task that failed, empty if unknown.
        result_id: The result that was asked for, empty if unknown.
        remote_traceback: The traceback of the exception in the task, empty without one.
    """

    message = task_id = result_id = remote_traceback = ""
    _only_tells = False  # set on the cause of a task's own exception, whose text says the same

    def __init__(
        self, message: str, task_id: str = "", result_id: str = "", remote_traceback: str = ""
    ) -> None:
        super().__init__(message, task_id, result_id, remote_traceback)
        self.message = message
        self.task_id = task_id
        self.result_id = result_id
        self.remote_traceback = remote_traceback

    def __str__(self) -> str:
        return f"{self.message} (task {self.task_id})" if self.task_id else self.message

    def __bool__(self) -> bool:
        # IPython prints the causes that are true, and this one would be five lines of noise.
        return not self._only_tells


class TaskCancelledError(TaskFailedError):
    """The task, or its session, was cancelled."""


class TaskTimeoutError(TaskFailedError):
    """The task ran longer than its ``max_duration``."""


class WorkerLostError(TaskFailedError):
    """The process that ran the task ended: a signal, an exit, a memory limit."""


class DependencyFailedError(TaskFailedError):
    """The task never ran because a task it depends on failed."""


class EnvironmentSetupError(TaskFailedError):
    """The environment of the task could not be made; the message is the installer's."""


class CommandError(TaskFailedError):
    """A command ended with an exit code that is not ok, or without an output that it was to make.

    Attributes:
        rc: Its exit code; the negative number of a signal that ended it.
        stdout: What it wrote to its standard output, as text.
        stderr: What it wrote to its standard error.
        files: Its outputs by name, where ``outputs_on="always"``.
        seconds: How long it ran.
        command: What was run, as a line for the shell.
    """

    stdout = stderr = command = ""
    rc = 0
    seconds = 0.0
    keeps_files = False  # set while the files are in the result of the call, and not in `files`

    def __init__(
        self, message: str, task_id: str = "", result_id: str = "", remote_traceback: str = ""
    ) -> None:
        super().__init__(message, task_id, result_id, remote_traceback)
        self.files: dict[str, Any] = {}


class WaitTimeoutError(PymonikError, TimeoutError):
    """The result is still pending after the time that the caller gave."""
