"""Task options between ArmoniK's message and ours."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from armonik.protogen.common.objects_pb2 import TaskOptions as TaskOptionsMessage

from pymonik.options import MAX_PRIORITY, TaskOptions
from pymonik.quantities import LONGEST_DURATION

_TEXTS = (
    "partition_id",
    "application_name",
    "application_version",
    "application_namespace",
    "application_service",
    "engine_type",
)


def from_message(message: Any) -> TaskOptions:
    """The options of a running task; what they do not say (zero, empty) is left out."""
    return TaskOptions(
        max_duration=_duration(message.max_duration),
        # Other clients may give any priority; a subtask with more than ours would be refused.
        priority=min(message.priority, MAX_PRIORITY) if message.priority > 0 else None,
        max_retries=max(message.max_retries, 0) if message.max_retries else None,
        options=dict(message.options),
        **{name: getattr(message, name) or None for name in _TEXTS},
    )


def _duration(message: Any) -> timedelta | None:
    # `timedelta` holds less than protobuf: seconds are bounded before they become one.
    seconds = min(message.seconds + message.nanos / 1e9, LONGEST_DURATION.total_seconds())
    return timedelta(seconds=seconds) if seconds > 0 else None


def to_message(options: TaskOptions) -> Any:
    """The options of a subtask, complete.

    ArmoniK would merge them over those of the session, while ours come from the parent; and it
    takes the priority of the message even when it says none.
    """
    message = TaskOptionsMessage(
        options=dict(options.options),
        priority=options.priority or 0,
        max_retries=_retries(options.max_retries),
        **{name: getattr(options, name) or "" for name in _TEXTS},
    )
    message.max_duration.FromTimedelta(options.max_duration or timedelta(0))  # present, even if 0
    return message


def _retries(max_retries: int | None) -> int:
    """Zero means "that of the session" there, and a negative number none."""
    if max_retries is None:
        return 0
    return max_retries or -1
