"""How much memory there is: in the container, which may end every process past it, or at all."""

from __future__ import annotations

import os
from typing import Final

from pymonik.launch import cgroups

_NONE: Final = 1 << 60  # bytes; version 1 says its largest number where there is no limit


def of_container() -> int | None:
    """Bytes that all processes of this container may use together; ``None`` without a limit."""
    texts = cgroups.texts("memory", "memory.max", "memory.limit_in_bytes")
    limits = [int(text) for text, _ in texts if text.strip().isdecimal()]
    return min((limit for limit in limits if limit < _NONE), default=None)


def total() -> int:
    """Bytes that all processes around this one may use together."""
    machine = _of_machine()
    return min(machine, of_container() or machine)


def _of_machine() -> int:
    try:
        pages = os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):  # unknown to a Python that was built for older versions of macOS
        pages = -1
    if pages > 0:
        return pages * os.sysconf("SC_PAGESIZE")  # macOS does not know it as SC_PAGE_SIZE
    import psutil  # takes long: not at every start

    return int(psutil.virtual_memory().total)
