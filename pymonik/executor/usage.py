"""What this process has used, and its limits: by `resource`, which does not stay in `sys.modules`.

A call that changes a limit has imported `resource` first. As long as it is not there, nobody need
look at the limits, each of which is a call of the system; see `pymonik.executor.surroundings`.
"""

from __future__ import annotations

import os
import resource
import sys
from typing import Final

_CHANGES_LIMITS: Final = ("resource", "psutil")  # modules by which Python code can set a limit
MEASURED_S: Final = 0.01  # seconds of a call whose peak is worth the 80 µs that reading one takes
_UNIT: Final = 1 if sys.platform == "darwin" else 1024  # bytes of `ru_maxrss`


class Limits:
    """The limits of this process as they are now. For executors: the module is hidden."""

    def __init__(self) -> None:
        # This module keeps its own reference. From here on, "resource" in `sys.modules` means that
        # a call has imported it.
        sys.modules.pop("resource", None)
        kinds = [getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")]
        self._before = {kind: resource.getrlimit(kind) for kind in kinds}

    def put_back(self) -> None:
        """Set again those that were changed.

        Raises:
            ValueError: It was lowered for good.
        """
        modules = sys.modules
        if not any(name in modules for name in _CHANGES_LIMITS):
            return
        for kind, before in self._before.items():
            if resource.getrlimit(kind) != before:
                resource.setrlimit(kind, before)


def peak_memory() -> int:
    """The most memory that this process had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT


def peak() -> int:
    """The most memory that this process had since `forget_peak`; 0 where the system cannot forget.

    `peak_memory` does not forget: one large call would stand for all that follow it. Files are
    opened each time: a call may have closed any descriptor and opened another in its place.
    """
    if not _can_forget:
        return 0
    try:
        status = _read("/proc/self/status")
        Peak.is_old = True
        begin = status.index(_PEAK) + len(_PEAK)
        return int(status[begin : status.index(b"kB", begin)]) * 1024
    except (OSError, ValueError):  # no descriptor is left to open the file with, or no such line
        return 0


class Peak:
    """Whether a peak was read that is still to be forgotten.

    Who reads the peak of a failed call cannot forget it: what the frames of its traceback refer to
    is freed later. The task that runs next does.
    """

    is_old = False


def forget_peak() -> None:
    """Have `peak` begin again with what this process has now."""
    global _can_forget
    Peak.is_old = False
    if not _can_forget:
        return
    try:
        file = os.open("/proc/self/clear_refs", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(file, b"5")  # Linux: sets VmHWM to what is resident, and touches no page
        finally:
            os.close(file)
    except OSError:
        _can_forget = False


def _read(path: str) -> bytes:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(file, 4096)
    finally:
        os.close(file)


_PEAK: Final = b"VmHWM:"
_can_forget = sys.platform == "linux"


def faults() -> int:
    """Page faults of this process, those of threads that have ended too."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_minflt + usage.ru_majflt
