"""What the calls of a task take: seconds and processor time of each, and where it was."""

from __future__ import annotations

import os
import sys
import time
from array import array
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pymonik.executor import usage
from pymonik.wire.call import Figures, Origin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymonik.executor.frames import Run
    from pymonik.wire.call import ResultMeta
    from pymonik.wire.containers import Buffer
    from pymonik.wire.streams import Piece

HOST: Final = os.uname().nodename
_PYTHON: Final = sys.version_info[:2]
# Columns travel as little-endian bytes, whatever the machine.
_IS_LITTLE: Final = sys.byteorder == "little"
# Reading the processor time is a call of the system, which would cost tiny calls 5 percent.
_LOOK_S: Final = 0.001


class Here:
    """What `__main__` learns from the parent.

    Attributes:
        executor: The number of this executor, counted from 1 since its worker started.
    """

    executor = 0


_now = time.monotonic
_cpu = time.process_time


def origin_of(run: Run, earlier: int, started: float) -> Origin:
    """Where a task runs.

    Args:
        run: The task.
        earlier: Attempts at its calls before this task.
        started: When it, or its call, began; in seconds since the epoch.
    """
    partition = run.options.partition_id or ""
    attempt = run.attempt + earlier
    return Origin(HOST, os.getpid(), Here.executor, attempt, started, partition, _PYTHON)


class Measures:
    """Columns of numbers, one for each call that has ended.

    Tasks all of whose calls were shorter than `_LOOK_S` have no column of the processor time, and
    those that took less than `usage.MEASURED_S` together none of memory: short calls have the peak
    that was read after them, which is that of their neighbours too.
    """

    __slots__ = (
        "_cpu",
        "_cpu_last",
        "_looked",
        "_peaks",
        "_seconds",
        "_since",
        "_unmeasured_s",
        "began",
        "started",
    )

    def __init__(self) -> None:
        # A failed call of the task before has read its peak but could not reset it; see
        # `usage.Peak`.
        if usage.Peak.is_old:
            usage.forget_peak()
        self.started = time.time()
        self._seconds = array("f")
        self._cpu = array("f")
        self._peaks = array("Q")
        self._unmeasured_s = 0.0  # of the calls since the last peak
        self.began = self._since = self._looked = _now()
        self._cpu_last = _cpu()

    @property
    def seconds(self) -> float:
        """Seconds of all calls so far."""
        return self._since - self.began

    def ended(self, begun: float, now: float) -> None:
        """A call has ended that began at ``begun``, in seconds of `time.monotonic`."""
        spent = now - begun
        self._seconds.append(spent)
        self._since = now
        self._unmeasured_s += spent
        if spent >= _LOOK_S:
            self._share(now)
            if spent >= usage.MEASURED_S:
                self._take_peak()

    def ended_together(self, seconds: Sequence[float]) -> None:
        """Calls have run at the same time, and all have ended."""
        self._seconds.extend(seconds)
        self._since = now = _now()
        self._share_all(now)

    def figures(self) -> Figures:
        """The figures of all calls that have ended."""
        if self._cpu and len(self._cpu) < len(self._seconds):
            self._share(self._since)
        if self._unmeasured_s >= usage.MEASURED_S:
            self._take_peak()
        return Figures(
            seconds=_column(self._seconds),
            cpu_s=_column(self._cpu),
            peak_bytes=_column(self._peaks),
        )

    def _share(self, now: float) -> None:
        """Share the processor time among the calls since the last look, by their seconds."""
        self._share_by(now - self._looked, now)

    def _share_all(self, now: float) -> None:
        """Share the processor time among calls that overlap: they took more than has passed."""
        self._share_by(sum(self._seconds[len(self._cpu) :]), now)

    def _share_by(self, seconds: float, now: float) -> None:
        cpu = _cpu()
        spent, self._cpu_last = cpu - self._cpu_last, cpu
        # Calls of no measurable length share nothing; the bound keeps the division possible.
        rate = spent / max(seconds, 1e-9)
        self._looked = now
        self._cpu.extend([rate * one for one in self._seconds[len(self._cpu) :]])

    def _take_peak(self) -> None:
        """The most memory since the last time is that of each call since then."""
        if found := usage.peak():
            self._peaks.extend([found] * (len(self._seconds) - len(self._peaks)))
            usage.forget_peak()
        self._unmeasured_s = 0.0


def with_printed(
    meta: ResultMeta,
    blobs: Sequence[Buffer],
    parts: Sequence[Sequence[Piece]],
    sizes: Sequence[int],
) -> tuple[ResultMeta, list[Buffer]]:
    """A result with what its calls have printed: see `ResultMeta.output`.

    Args:
        meta: The head without it.
        blobs: Those of the values.
        parts: What is kept of each call.
        sizes: How many bytes each has printed.
    """
    from pymonik.wire.streams import turns_of  # most calls print nothing

    kept = [b"".join(data for _, data in part) for part in parts]
    turns = turns_of((stream, len(data)) for part in parts for stream, data in part)
    figures = msgspec.structs.replace(
        meta.figures or Figures(),
        printed_bytes=_column(array("Q", sizes)),
        output_ends=_column(array("Q", accumulate(map(len, kept)))),
        output_turns=_column(array("I", turns)),
    )
    meta = msgspec.structs.replace(meta, figures=figures, output=True)
    return meta, [*blobs, b"".join(kept)]


def _column(numbers: array[Any]) -> bytes:
    """Numbers as they stand in `Figures`."""
    if not _IS_LITTLE:
        numbers = numbers[:]
        numbers.byteswap()
    return numbers.tobytes()
