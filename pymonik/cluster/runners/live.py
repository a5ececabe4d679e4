"""What is told of tasks while they run: results that exist at once, however the task ends."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pymonik.cluster.ids import new_id
from pymonik.cluster.state.faults import Fault
from pymonik.cluster.state.work import NewResult, Succeeded

if TYPE_CHECKING:
    from pymonik.cluster.dispatch import Dispatch
    from pymonik.executor.frames import Run

_log = logging.getLogger(__name__)


class Contributing:
    """A `pymonik.executor.live_log.Way` into the embedded cluster, and what comes from it.

    Executors are given it before there is a cluster; none runs a call by then.
    """

    def __init__(self) -> None:
        self._dispatch: Dispatch | None = None

    def belong_to(self, dispatch: Dispatch) -> None:
        """Of the cluster."""
        self._dispatch = dispatch

    def __call__(self, run: Run, name: str, data: bytes) -> None:
        """Create a result; nobody fails for want of it."""
        if self._dispatch is None:
            return
        result_id = new_id()
        part = Succeeded(created=[NewResult(result_id, name)], data={result_id: data}, tasks=[])
        try:
            self._dispatch.contribute(run.task_id, part)
        except (Fault, OSError) as error:  # the task was cancelled; or the storage is full
            _log.debug("%s is not told: %s", name, error)

    def read_board(self, _run: Run, result_id: str) -> bytes | None:
        """What a result holds by which the program tells its running tasks something."""
        return None if self._dispatch is None else self._dispatch.content(result_id)
