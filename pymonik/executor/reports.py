"""What calls report, as the parent of an executor gives it on: at once, and several together."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from pymonik.wire.live import REPORT_PREFIX, LiveName, encode_lines

if TYPE_CHECKING:
    from pymonik.executor.frames import Reported, Run
    from pymonik.executor.live_log import Way

_log = logging.getLogger(__name__)

# Seconds between two times that reports are given on: each time makes a result, which costs the
# control plane a row, so reports that come within it go together.
GATHER_S: Final = 0.05
_MOST_BYTES: Final = 10 * 1024 * 1024  # of the reports of one run

OnReport = Callable[["Run", Sequence["Reported"]], object]
"""Is told what a run has reported; in the thread that waits for the run."""

ReadBoard = Callable[["Run", str], "bytes | None"]
"""Gives what the program tells its running tasks, from the id of a result; `None`: not now."""


class Reports:
    """The reports of one executor.

    Args:
        on_report: Who wants them.
    """

    def __init__(self, on_report: OnReport | None) -> None:
        self._on_report = on_report
        self._waiting: list[Reported] = []
        self._flushed = 0.0
        self._task_id = ""
        self._nbytes = 0  # of the run

    def add(self, run: Run | None, reported: Reported) -> None:
        """The present run has reported something; of another one it is left out."""
        if run is None or reported.task_id != run.task_id:
            return
        if run.task_id != self._task_id:
            self._task_id, self._nbytes = run.task_id, 0
        self._nbytes += len(msgspec.json.encode(reported.entry.fields))
        if self._nbytes > _MOST_BYTES:
            if self._nbytes < 2 * _MOST_BYTES:
                # So that the warning comes once: from twice the limit on, reports are left out in
                # silence.
                self._nbytes = 2 * _MOST_BYTES
                _log.warning("task %s reports more than is told", run.task_id)
            return
        self._waiting.append(reported)

    def flush_if_due(self, run: Run | None) -> float:
        """Give on what waits, if it is time; seconds until it is."""
        if not self._waiting:
            return _NEVER_S
        left_s = self._flushed + GATHER_S - time.monotonic()
        if left_s > 0:
            return left_s
        self.flush(run)
        return _NEVER_S

    def flush(self, run: Run | None) -> None:
        """Give on what waits."""
        waiting, self._waiting = self._waiting, []
        if waiting and run is not None and self._on_report is not None:
            self._flushed = time.monotonic()
            self._on_report(run, waiting)


_NEVER_S: Final = 3600.0  # seconds until the next flush where nothing waits; an `add` comes before


class LiveReports:
    """Gives on what a pool's calls report. Any thread may call it.

    Args:
        way: Where to.
    """

    def __init__(self, way: Way) -> None:
        self._way = way
        self._numbers = itertools.count(1)

    def __call__(self, run: Run, reported: Sequence[Reported]) -> None:
        """A run has reported this."""
        for output_id, group in itertools.groupby(reported, lambda one: one.output_id):
            name = LiveName(REPORT_PREFIX, output_id, run.attempt, next(self._numbers))
            self._way(run, str(name), encode_lines([one.entry for one in group]))
