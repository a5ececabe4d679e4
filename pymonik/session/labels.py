"""Labels of a task's options: what ArmoniK's own tools show of a call, and can filter by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymonik.options import TaskOptions
from pymonik.wire.call import ENVIRONMENT_LABEL, FUNCTION_LABEL, RUN_LABEL

if TYPE_CHECKING:
    from pymonik.wire.environment import Environment


def with_labels(options: TaskOptions, function: str, environment: Environment) -> TaskOptions:
    """``options`` with the labels of the function, of its run and of its packages.

    Args:
        options: Those of the tasks, complete.
        function: Its name.
        environment: What its calls get around them.
    """
    labels = {
        FUNCTION_LABEL: function,
        RUN_LABEL: options.label or "",
        ENVIRONMENT_LABEL: environment.packages_id,
    }
    return TaskOptions(options={key: text for key, text in labels.items() if text}).over(options)
