"""The memory that an executor may reserve: refused by the system, with a `MemoryError`.

The system's limit counts what is reserved, so it is set well above: it stops the one allocation
that is far too large, where it happens. What is really used is watched by the parent, see
`pymonik.executor.memory_watch`.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MIB = 1 << 20  # bytes


def limit_reservations(memory_limit: int, inputs: Iterable[str]) -> None:
    """In the executor: have allocations fail past half as much again, inputs not counted."""
    if sys.platform == "win32":
        return
    import resource

    mapped = sum(map(_size, inputs))
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    # RLIMIT_DATA counts private writable mappings, so the copy-on-write mappings of inputs count in
    # full although most of their pages are never copied: they are added. Half as much again is for
    # what allocators reserve and never touch.
    soft = memory_limit + memory_limit // 2 + mapped
    # A soft limit above the hard one would be refused.
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
