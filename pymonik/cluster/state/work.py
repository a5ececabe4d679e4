"""What the cluster and whoever runs its tasks say to each other.

A runner (an executor slot, or the agent of a foreign worker) asks for an
`Assignment`, announces that it starts, and reports how it ended. What a task created is given only
with its success, all at once: that is how ArmoniK's agent works.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """The options of one task, as ArmoniK has them: merged, nothing missing."""

    max_duration: timedelta
    max_retries: int
    priority: int
    partition_id: str
    options: Mapping[str, str] = field(default_factory=dict)
    application_name: str = ""
    application_version: str = ""
    application_namespace: str = ""
    application_service: str = ""
    engine_type: str = ""


@dataclass(frozen=True, slots=True)
class Assignment:
    """One attempt at a task, with its inputs in the object storage.

    Attributes:
        files: Of the payload and the data dependencies, by result ID; to be read only.
        data: The same for those that are small: what would be in the file.
        data_dependencies: Without the payload.
        attempt: 1 for the first.
        worker_submission: Of the session, as it was when the task was acquired.
    """

    task_id: str
    session_id: str
    payload_id: str
    files: dict[str, str]
    data: dict[str, bytes]
    data_dependencies: Sequence[str]
    expected_output_ids: Sequence[str]
    options: TaskOptions
    attempt: int
    worker_submission: bool


@dataclass(frozen=True, slots=True)
class NewResult:
    """A result that a task created."""

    result_id: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class NewTask:
    """A subtask; `options` are already merged over the session's.

    Attributes:
        owns_payload: Whether the payload is deleted when it ends: no other task can have it.
    """

    task_id: str
    payload_id: str
    expected_output_ids: Sequence[str]
    data_dependencies: Sequence[str]
    options: TaskOptions
    owns_payload: bool = False


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The worker said OK. A `Path` in `data` is moved into the object storage.

    Attributes:
        forgotten: Results of the session whose data go.
    """

    created: Sequence[NewResult] = ()
    data: Mapping[str, bytes | Path] = field(default_factory=dict)
    tasks: Sequence[NewTask] = ()
    forgotten: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """``Output.error``: the task ends in ERROR and is not retried."""

    error: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The call of the worker failed: retried while attempts remain, then ERROR with this text."""

    error: str


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The task ran longer than its `max_duration`."""


@dataclass(frozen=True, slots=True)
class Released:
    """The task was not run: it goes back to its queue, and no attempt is consumed."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The runner stopped the task because it was cancelled."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The task was not run, and waits until the environment of this id is made."""

    packages_id: str


Outcome = Succeeded | Failed | Lost | TimedOut | Released | Waiting | Stopped


class Start(enum.Enum):
    """The answer to "I start this task now"."""

    RUN = enum.auto()
    DROP = enum.auto()  # cancelled or paused in the meantime: forget it
