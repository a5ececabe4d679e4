"""How a task is to run: `TaskOptions`, and the order call > task > client."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from pymonik.errors import UsageError

DEFAULT_MAX_DURATION = timedelta(hours=1)
DEFAULT_MAX_RETRIES = 3
DEFAULT_PRIORITY = 1


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """Options of tasks; what is left out (``None``, or an absent key) is inherited.

    Args:
        max_duration: Time limit of one attempt: a `timedelta`, or seconds as a number.
        priority: 1 to 99, higher runs first.
        max_retries: Attempts after the first one, for a lost worker or a ``retry_on`` exception.
        partition_id: The partition whose workers run the task.
        options: Labels, merged key by key; ArmoniK's tools show them.
        application_name: Shown by ArmoniK's tools, like the four that follow.
    """

    max_duration: timedelta | None = None
    priority: int | None = None
    max_retries: int | None = None
    partition_id: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    application_name: str | None = None
    application_version: str | None = None
    application_namespace: str | None = None
    application_service: str | None = None
    engine_type: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "max_duration", _duration(self.max_duration))
        _check_int("priority", self.priority, 1, 99)
        _check_int("max_retries", self.max_retries, 0, 1_000_000)
        if self.partition_id is not None and not isinstance(self.partition_id, str):
            raise UsageError(f"partition_id must be a string, not {self.partition_id!r}")
        object.__setattr__(self, "options", _labels(self.options))

    def over(self, base: TaskOptions) -> TaskOptions:
        """These options where they say something, those of ``base`` elsewhere."""
        changes: dict[str, Any] = {}
        for name in FIELD_NAMES:
            if (value := getattr(self, name)) is not None:
                changes[name] = value
        changes["options"] = {**base.options, **self.options}
        return dataclasses.replace(base, **changes)

    @classmethod
    def of(cls, value: object) -> TaskOptions:
        """``value`` as options: ours, ``None``, or anything with the same attributes.

        The `armonik` package has a class of the same name, which older programs use.
        """
        if isinstance(value, cls):
            return value
        if value is None:
            return cls()
        if not hasattr(value, "max_duration") or not hasattr(value, "partition_id"):
            raise UsageError(f"task_options must be a TaskOptions, not {type(value).__name__}")
        attributes: dict[str, Any] = {name: getattr(value, name, None) for name in FIELD_NAMES}
        # An empty string or a zero means "not set" there, but for the number of retries.
        given = {n: v if n == "max_retries" else v or None for n, v in attributes.items()}
        labels: Any = getattr(value, "options", None)
        return cls(options=labels or {}, **given)

    @classmethod
    def shortcuts(
        cls,
        task_options: object = None,
        *,
        partition: str | None = None,
        max_duration: timedelta | float | None = None,
        priority: int | None = None,
        max_retries: int | None = None,
    ) -> TaskOptions:
        """``task_options`` overlaid by the shortcuts that decorator and client offer."""
        short = cls(_duration(max_duration), priority, max_retries, partition)
        return short.over(cls.of(task_options))


FIELD_NAMES = tuple(f.name for f in dataclasses.fields(TaskOptions) if f.name != "options")


def call_options(task_options: object, keywords: dict[str, Any]) -> TaskOptions:
    """Options of one call; takes keywords such as ``pmk_priority=2`` out of ``keywords``.

    Raises:
        UsageError: A ``pmk_*`` keyword that is not an option, or of the wrong type.
    """
    named = {key: keywords.pop(key) for key in list(keywords) if key.startswith("pmk_")}
    fields = {key.removeprefix("pmk_"): value for key, value in named.items()}
    if "partition" in fields:
        fields["partition_id"] = fields.pop("partition")
    for name in fields:
        if name not in FIELD_NAMES and name != "options":
            known = ", ".join(f"pmk_{known}" for known in (*FIELD_NAMES, "options"))
            raise UsageError(f"pmk_{name} is not an option; there are {known}")
    given = TaskOptions.of(task_options)
    return TaskOptions(**fields).over(given) if fields else given


def _duration(value: object) -> timedelta | None:
    if isinstance(value, bool) or not isinstance(value, timedelta | int | float | None):
        raise UsageError(f"max_duration must be a timedelta or seconds, not {value!r}")
    if value is None:
        return None
    duration = value if isinstance(value, timedelta) else timedelta(seconds=value)
    if duration <= timedelta(0):
        raise UsageError(f"max_duration must be longer than zero, not {duration}")
    return duration


def _check_int(name: str, value: object, low: int, high: int) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise UsageError(f"{name} must be a whole number from {low} to {high}, not {value!r}")


def _labels(options: object) -> dict[str, str]:
    if not isinstance(options, Mapping):
        raise UsageError(f"options must be a mapping of strings, not {type(options).__name__}")
    for key, value in options.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise UsageError(f"options must map strings to strings; look at {key!r}")
    return dict(options)
