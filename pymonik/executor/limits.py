"""The memory that an executor may use: refused by the system where it can, else watched.

The system's limit counts what is reserved, so it is set well above: it stops the one allocation
that is far too large, with a `MemoryError` where it happens. What is really used is watched by the
parent, which kills the executor past the limit.
"""

from __future__ import annotations

import os
import sys
import time
from functools import partial
from mmap import PAGESIZE as _PAGE
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MIB = 1 << 20
_LOOKS, _BETWEEN_LOOKS_S = 5, 0.005  # before what is used counts as too much
WATCH_INTERVAL_S = 0.05  # the system tells nobody that a process grew: it has to be looked at


def limit_reservations(memory_limit: int, inputs: Iterable[str]) -> None:
    """In the executor: have allocations fail past half as much again, inputs not counted."""
    if sys.platform == "win32":
        return
    import resource

    mapped = sum(map(_size, inputs))
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    soft = memory_limit + memory_limit // 2 + mapped
    if hard != resource.RLIM_INFINITY:
        soft = min(soft, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 - no need for a Path
    except FileNotFoundError:  # deleted meanwhile: the call says so, if it needs it
        return 0


def memory_error(memory_limit: int) -> MemoryError:
    """In the executor: what to say instead of a `MemoryError` without a text."""
    return MemoryError(f"the task wanted more than its executor may use: {in_mib(memory_limit)}")


def in_mib(size: int) -> str:
    """``size`` for people."""
    return f"{size / MIB:.0f} MiB"


def idle_share() -> int:
    """Bytes that executors may hold together which wait for a call: a fourth of the memory."""
    return os.sysconf("SC_PHYS_PAGES") * _PAGE // 4


def held_below(root: int) -> int:
    """Bytes that the processes below this one have for themselves."""
    from pymonik.launch.supervisor import below  # parents ask; executors have a limit only

    return sum(map(_of_one(), below(root)))


class MemoryWatch:
    """In the parent: how much an executor and all that it started use together.

    Shared memory and mapped files are not counted, and what processes share since a fork once.

    Args:
        root: The process above all that are counted.
        limit: Bytes that they may use.

    Attributes:
        peak: The most that was seen.
        interval_s: When to look again: looking takes at most a twentieth of the time.
    """

    def __init__(self, root: int, limit: int) -> None:
        from pymonik.launch.supervisor import below  # parents watch; executors have a limit only

        self.limit = limit
        self.peak = 0
        self.interval_s = WATCH_INTERVAL_S
        self._below = partial(below, root)
        self._of_one = _of_one()

    def is_exceeded(self) -> bool:
        """Whether they use more than they may."""
        start = time.monotonic()
        used = self._used()
        looks = 1
        while used > self.limit and looks < _LOOKS:
            # A child that `subprocess` starts has all memory of its parent, and not a copy of it,
            # until it has become its program: it is counted twice for a moment.
            time.sleep(_BETWEEN_LOOKS_S)
            used = self._used()
            looks += 1
        self.peak = max(self.peak, used)
        self.interval_s = max(WATCH_INTERVAL_S, 20 * (time.monotonic() - start) / looks)
        return used > self.limit

    def _used(self) -> int:
        pids = self._below()
        used = sum(map(self._of_one, pids))
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
