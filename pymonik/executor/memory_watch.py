"""The memory that an executor uses with all that it started, as its parent sees it.

The system tells nobody that a process grew, so it is looked at now and then; past its limit the
parent kills the executor.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from mmap import PAGESIZE as _PAGE
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pymonik.executor.limits import in_mib
from pymonik.launch.supervisor import below

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymonik.launch.process import Supervised

logger = logging.getLogger(__name__)

WATCH_INTERVAL_S: Final = 0.05  # seconds; how far a call can get past its limit unseen
# How often, and at which distance in seconds, the memory is looked at before it counts as too much:
# the looks are spread over 20 ms, in which a child that `subprocess` starts becomes its program.
_LOOKS, _BETWEEN_LOOKS_S = 5, 0.005
_START: Final = 19  # place of the start of a process in its `stat`, behind its name; proc(5)


def idle_share() -> int:
    """Bytes that executors may hold together which wait for a call: a fourth of the memory."""
    return os.sysconf("SC_PHYS_PAGES") * _PAGE // 4


def held_below(root: int) -> int:
    """Bytes that the processes below this one have for themselves."""
    return sum(map(_of_one(), below(root)))


class MemoryWatch:
    """How much an executor and all that it started use together.

    Shared memory and mapped files are not counted, and what processes share since a fork once.

    Args:
        process: The executor.
        limit: Bytes that they may use.

    Attributes:
        peak: The most that was seen.
        interval_s: When to look again: looking takes at most a twentieth of the time.
    """

    def __init__(self, process: Supervised, limit: int) -> None:
        self.limit = limit
        self.peak = 0
        self.interval_s = WATCH_INTERVAL_S
        self._process = process
        self._begun = 0  # when the present call did, in ticks since the start of the system
        self._of_one = _of_one()

    def begin_call(self) -> None:
        """A call begins: processes that are older than this were left by calls before it."""
        self._begun = _ticks_now()

    def is_exceeded(self) -> bool:
        """Whether the present call uses more than it may."""
        start = time.monotonic()
        used = self._used()
        looks = 1
        while used > self.limit and looks < _LOOKS:
            # A child that `subprocess` starts has all memory of its parent, and not a copy of it,
            # until it has become its program: it is counted twice for a moment.
            time.sleep(_BETWEEN_LOOKS_S)
            used = self._used()
            looks += 1
        # Looking at hundreds of processes takes long, so it is done the less often.
        self.interval_s = max(WATCH_INTERVAL_S, 20 * (time.monotonic() - start) / looks)
        if used > self.limit:
            used -= self._end_leftovers(used)
        self.peak = max(self.peak, used)
        return used > self.limit

    def _end_leftovers(self, used: int) -> int:
        """End what earlier calls have left, if that is enough; the bytes that this gives back.

        Processes that a call leaves go on, since libraries keep theirs from call to call. But no
        call is to fail for the memory of another one.
        """
        left = [
            pid
            for pid in self._below()
            if pid != self._process.pid and 0 < _start_of(pid) < self._begun
        ]
        nbytes = sum(map(self._of_one, left))
        if used - nbytes > self.limit:
            return 0
        text = "memory is short for a task: %d processes that earlier ones have left are ended (%s)"
        logger.warning(text, len(left), in_mib(nbytes))
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        return nbytes

    def _below(self) -> set[int]:
        return below(self._process.supervisor)

    def _used(self) -> int:
        pids = self._below()
        used = sum(map(self._of_one, pids))
        # `statm` counts pages that processes share since a fork once for each; `smaps_rollup`
        # divides them, and takes many times as long, so it is asked only when the quick sum is too
        # large.
        if used > self.limit and len(pids) > 1:
            used = sum(map(_unshared, pids))
        return used


def _of_one() -> Callable[[int], int]:
    """Gives the bytes of a process that are its own, or shared since a fork; 0 if it is gone."""
    if Path("/proc/self/statm").exists():
        return _of_proc
    import psutil

    def of_system(pid: int) -> int:
        try:
            return int(psutil.Process(pid).memory_info().rss)
        except psutil.Error:
            return 0

    return of_system


def _of_proc(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:  # noqa: PTH123 - no need for a Path
            _, resident, shared, *_ = map(int, file.read().split())
    except OSError:
        return 0
    return (resident - shared) * _PAGE


def _unshared(pid: int) -> int:
    """The bytes of a process, its part of what it shares since a fork; slower to get."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:  # noqa: PTH123 - no need for a Path
            sizes = dict(line.split(maxsplit=1) for line in file.read().splitlines()[1:])
        return int(sizes[b"Pss_Anon:"].split()[0]) * 1024
    except (OSError, KeyError):  # gone, another user's, or an older kernel
        return _of_proc(pid)


def _start_of(pid: int) -> int:
    """When a process was started, in ticks since the start of the system; 0 if that is unknown."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - no need for a Path
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return 0
    return int(fields[_START])


def _ticks_now() -> int:
    """Now, in the ticks of ``/proc``; 0 on systems without that clock: no process is old then."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return 0
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))
