"""How much memory there is: in the container, which may end every process past it, or at all."""

from __future__ import annotations

import os
from pathlib import Path

CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")


def of_container() -> int | None:
    """Bytes that all processes of this container may use together; ``None`` without a limit."""
    try:
        text = CONTAINER_LIMIT.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None


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
