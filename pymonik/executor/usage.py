"""What this process has used, and its limits: by `resource`, which does not stay in `sys.modules`.

A call that changes a limit has imported `resource` first. As long as it is not there, nobody need
look at the limits, each of which is a call of the system; see `pymonik.executor.surroundings`.
"""

from __future__ import annotations

import resource
import sys
from typing import Final

_CHANGES_LIMITS: Final = ("resource", "psutil")
_KINDS: Final = ("NOFILE", "DATA", "AS", "CPU", "FSIZE", "STACK", "NPROC", "CORE")
_UNIT: Final = 1 if sys.platform == "darwin" else 1024  # bytes of `ru_maxrss`


class Limits:
    """The limits of this process as they are now. For executors: the module is hidden."""

    def __init__(self) -> None:
        sys.modules.pop("resource", None)
        kinds = [getattr(resource, f"RLIMIT_{name}", None) for name in _KINDS]
        self._before = {kind: resource.getrlimit(kind) for kind in kinds if kind is not None}

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


def faults() -> int:
    """Page faults of this process, those of threads that have ended too."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_minflt + usage.ru_majflt
