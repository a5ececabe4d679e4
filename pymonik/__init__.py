"""Run Python functions in parallel, on a laptop or on an ArmoniK cluster."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from pymonik.errors import (
    ArgumentsError,
    CommandError,
    ConfigError,
    ControlPlaneError,
    DependencyFailedError,
    EnvironmentSetupError,
    PymonikError,
    SerializationError,
    SessionClosedError,
    TaskCancelledError,
    TaskFailedError,
    TaskTimeoutError,
    UnavailableError,
    UsageError,
    WaitTimeoutError,
    WorkerLostError,
)

if TYPE_CHECKING:
    from pymonik.client.pymonik_client import Pymonik
    from pymonik.cluster.local import LocalCluster
    from pymonik.code.outputs import Outputs
    from pymonik.context.task_context import PymonikContext, get_context
    from pymonik.files.completed import Completed
    from pymonik.files.file import File
    from pymonik.files.materialized import Materialize, materialize
    from pymonik.handles.call_outcome import Outcome
    from pymonik.handles.hooks import (
        TaskCancelled,
        TaskCompleted,
        TaskEvent,
        TaskFailed,
        TaskSubmitted,
    )
    from pymonik.handles.multi_result_handle import MultiResultHandle, as_completed
    from pymonik.handles.result_handle import ResultHandle
    from pymonik.neighbours.futures import Executor
    from pymonik.options import TaskOptions
    from pymonik.runs.output import OutputLine
    from pymonik.tasks.commands import command
    from pymonik.tasks.decorator import task
    from pymonik.tasks.monitors import MonitorContext, MonitorHandle, monitor
    from pymonik.tasks.task import Task
    from pymonik.worker import run_pymonik_worker

__version__ = "0.1.0"

__all__ = [
    "ArgumentsError",
    "CommandError",
    "Completed",
    "ConfigError",
    "ControlPlaneError",
    "DependencyFailedError",
    "EnvironmentSetupError",
    "Executor",
    "File",
    "LocalCluster",
    "Materialize",
    "MonitorContext",
    "MonitorHandle",
    "MultiResultHandle",
    "Outcome",
    "OutputLine",
    "Outputs",
    "Pymonik",
    "PymonikContext",
    "PymonikError",
    "ResultHandle",
    "SerializationError",
    "SessionClosedError",
    "Task",
    "TaskCancelled",
    "TaskCancelledError",
    "TaskCompleted",
    "TaskEvent",
    "TaskFailed",
    "TaskFailedError",
    "TaskOptions",
    "TaskSubmitted",
    "TaskTimeoutError",
    "UnavailableError",
    "UsageError",
    "WaitTimeoutError",
    "WorkerLostError",
    "__version__",
    "as_completed",
    "command",
    "get_context",
    "materialize",
    "monitor",
    "run_pymonik_worker",
    "task",
]

# Each name is imported when it is first asked for. The cluster's process and executors import this
# package too, and never ask for most of them: a start pays for what it uses.
_LAZY = {
    "Completed": "pymonik.files.completed",
    "Executor": "pymonik.neighbours.futures",
    "File": "pymonik.files.file",
    "LocalCluster": "pymonik.cluster.local",
    "Materialize": "pymonik.files.materialized",
    "MonitorContext": "pymonik.tasks.monitors",
    "MonitorHandle": "pymonik.tasks.monitors",
    "MultiResultHandle": "pymonik.handles.multi_result_handle",
    "Outcome": "pymonik.handles.call_outcome",
    "OutputLine": "pymonik.runs.output",
    "Outputs": "pymonik.code.outputs",
    "Pymonik": "pymonik.client.pymonik_client",
    "PymonikContext": "pymonik.context.task_context",
    "ResultHandle": "pymonik.handles.result_handle",
    "Task": "pymonik.tasks.task",
    "TaskCancelled": "pymonik.handles.hooks",
    "TaskCompleted": "pymonik.handles.hooks",
    "TaskEvent": "pymonik.handles.hooks",
    "TaskFailed": "pymonik.handles.hooks",
    "TaskOptions": "pymonik.options",
    "TaskSubmitted": "pymonik.handles.hooks",
    "as_completed": "pymonik.handles.multi_result_handle",
    "command": "pymonik.tasks.commands",
    "get_context": "pymonik.context.task_context",
    "materialize": "pymonik.files.materialized",
    "monitor": "pymonik.tasks.monitors",
    "run_pymonik_worker": "pymonik.worker",
    "task": "pymonik.tasks.decorator",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module 'pymonik' has no attribute {name!r}")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
