"""Has workers show themselves that had no task yet: a short task for each pod of a partition."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from pymonik.errors import PymonikError
from pymonik.tasks.task import Task

if TYPE_CHECKING:
    from pymonik.handles.multi_result_handle import MultiResultHandle
    from pymonik.session.remote import RemoteSession

_MOST_PODS: Final = 100  # of a partition that are probed; a deployment may allow thousands
# Seconds that a probe holds its pod, so that one pod does not take all of them.
_STAY_S: Final = 0.2
# Seconds for all probes: pods that are started for them take longer than anybody waits for a list.
_WAIT_S: Final = 15.0


def probe(session: RemoteSession) -> None:
    """Run them in the partitions of the session, and wait for them, but not for long."""
    names = set(session.list_partitions())
    visits = [
        Task(stay, func_name="probe").map_invoke(
            [()] * min(row.pods_max, _MOST_PODS),
            pymonik=session,
            chunk_size=1,
            pmk_partition=row.name,
            pmk_max_retries=0,
        )
        for row in session.lists.partitions()
        if row.name in names and row.pods_max
    ]
    end = time.monotonic() + _WAIT_S
    for visit in visits:
        _wait(visit, end - time.monotonic())


def _wait(visit: MultiResultHandle[None], left_s: float) -> None:
    try:
        visit.exceptions(timeout=max(0.0, left_s))
    except PymonikError:  # no pod for it, or not in time
        visit.cancel()


def stay() -> None:
    """Hold the worker for a moment; it runs there."""
    time.sleep(_STAY_S)
