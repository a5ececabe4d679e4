"""Failures in a task that ended well, where ArmoniK's own tools can see them.

A call that fails among others has its failure for a value, so ArmoniK counts its task as completed,
and nothing about a task can be changed after it was submitted. But a task may make results, and all
tools show their names. So one that says it stands beside the values of such a task::

    pymonik.failed/2 of 50 calls: simulate · mesh-study: ValueError
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pymonik.executor.frames import Created
from pymonik.session.labels import title
from pymonik.wire.call import FAILED_PREFIX, NEW

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pymonik.wire.call import PayloadMeta

_MOST_KINDS = 3  # of exceptions that the name tells


def told(meta: PayloadMeta, faults: Mapping[str, int]) -> Created:
    """The result that tells of them, by its name; its data are the counts, as JSON.

    Args:
        meta: The head of the task's payload.
        faults: How many calls failed, by the class of the exception. Texts of exceptions may hold
            arguments, and are not told.
    """
    failed, calls = sum(faults.values()), len(meta.calls)
    name = f"{FAILED_PREFIX}{failed} of {calls} calls: {title(meta.function.name, meta.run)}"
    data = json.dumps({"failed": failed, "calls": calls, "kinds": dict(faults)}).encode()
    return Created(stand_in=f"{NEW}failed", name=f"{name}: {kinds(faults)}", data=data)


def kinds(faults: Mapping[str, int]) -> str:
    """The classes of exceptions, the most frequent first."""
    ordered = sorted(faults, key=lambda kind: -faults[kind])
    shown = [f"{faults[kind]} {kind}" if len(faults) > 1 else kind for kind in ordered]
    more = len(shown) - _MOST_KINDS
    return ", ".join(shown[:_MOST_KINDS]) + (f" and {more} more" if more > 0 else "")
