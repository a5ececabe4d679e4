"""How a call ended, as the parent of an executor sees it."""

from __future__ import annotations

from typing import Final

import msgspec

from pymonik.executor.frames import Report
from pymonik.wire.failure import Failure

# Exit code of an executor whose call closed the socket to its parent; no shell or signal gives it.
CUT_OFF: Final = 121


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The task failed for good."""

    failure: Failure
    task_id: str = ""


class Retry(msgspec.Struct, frozen=True, tag="retry"):
    """The function raised an exception that its ``retry_on`` names."""

    failure: Failure
    task_id: str = ""


class Lost(msgspec.Struct, frozen=True):
    """The executor died; the failure is a `WorkerLostError` that says how."""

    failure: Failure


class TimedOut(msgspec.Struct, frozen=True):
    """The call was stopped at its time limit."""

    failure: Failure


class Cancelled(msgspec.Struct, frozen=True):
    """The call was stopped because somebody asked for it."""


class Waiting(msgspec.Struct, frozen=True):
    """The call was not run: its environment of this id is being made."""

    packages_id: str


class NotBegun(msgspec.Struct, frozen=True):
    """The call was not run: its executor had just found that it can run no other one."""


Ending = Report | Failed | Retry | Lost | TimedOut | Cancelled | Waiting


def margin_s(task_limit_s: float) -> float:
    """What a task of several calls needs to tell what was done, before others end it."""
    # A tenth of a short limit, so that its calls have most of it; never more than a second.
    return min(1.0, 0.1 * task_limit_s)
