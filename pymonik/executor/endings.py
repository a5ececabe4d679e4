"""How a call ended, as the parent of an executor sees it."""

from __future__ import annotations

import msgspec

from pymonik.executor.frames import Report


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The task failed for good; the text is for ``Output.error`` (see `pymonik.code.failure`)."""

    error: str
    task_id: str = ""


class Retry(msgspec.Struct, frozen=True, tag="retry"):
    """The function raised an exception that its ``retry_on`` names."""

    error: str
    task_id: str = ""


class Lost(msgspec.Struct, frozen=True):
    """The executor died; the text says how, and carries a `WorkerLostError`."""

    error: str


class TimedOut(msgspec.Struct, frozen=True):
    """The call was stopped at its time limit."""

    error: str


class Cancelled(msgspec.Struct, frozen=True):
    """The call was stopped because somebody asked for it."""


Ending = Report | Failed | Retry | Lost | TimedOut | Cancelled
