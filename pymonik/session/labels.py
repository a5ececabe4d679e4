"""Labels of a task's options: what ArmoniK's own tools show of a call, and can filter by.

ArmoniK hands them to the worker as they are, so they also carry what only our own worker obeys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymonik.options import TaskOptions
from pymonik.wire.call import ENVIRONMENT_LABEL, FUNCTION_LABEL, MEMORY_LABEL, RUN_LABEL

if TYPE_CHECKING:
    from pymonik.wire.environment import Environment


def title(function: str, run: str) -> str:
    """The function and the label of its run, as people read them; most runs have no label."""
    return f"{function} · {run}" if run and run != function else function


def with_labels(options: TaskOptions, function: str, environment: Environment) -> TaskOptions:
    """``options`` with the labels of the function, of its run, of its packages and of its memory.

    The function is the service, too, where the user names none: ArmoniK's tables show that.

    Args:
        options: Those of the tasks, complete.
        function: Its name.
        environment: What its calls get around them.
    """
    labels = {
        FUNCTION_LABEL: function,
        RUN_LABEL: options.label or "",
        ENVIRONMENT_LABEL: environment.packages_id,
        MEMORY_LABEL: "" if options.memory is None else str(options.memory),
    }
    full = TaskOptions(options={key: text for key, text in labels.items() if text}).over(options)
    if full.application_service is None:
        return TaskOptions(application_service=function).over(full)
    return full
