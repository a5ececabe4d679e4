"""Folders that a process cannot write into, whoever it runs as.

Permissions do not stop root, as whom many containers run. Root can have a view of the file systems
of its own instead, in which a folder is mounted read-only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from typing import Final

# Of <sched.h> and <sys/mount.h>.
_CLONE_NEWNS: Final = 0x20000
_MS_RDONLY, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_SLAVE = 1, 32, 4096, 1 << 14, 1 << 19


def make_read_only(folder: str) -> bool:
    """Have this process, and what it starts, not write into a folder.

    The kernel changes the view of the calling thread alone, so it is called before there are
    others; threads that come later inherit it.

    Returns:
        Whether that was needed and could be done: it takes root in a container that may mount.
    """
    if sys.platform != "linux" or os.geteuid() != 0:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    place = os.fsencode(folder)
    mounts = (
        # What is mounted here must not be seen elsewhere; what is mounted elsewhere may be here.
        (None, b"/", None, _MS_REC | _MS_SLAVE, None),
        (place, place, None, _MS_BIND, None),
        (None, place, None, _MS_REMOUNT | _MS_BIND | _MS_RDONLY, None),
    )
    # In this order: a view of its own, which changes nothing elsewhere; then the folder mounted
    # over itself; then that mount made read-only, which a mount cannot be in one step.
    if libc.unshare(_CLONE_NEWNS) != 0 or any(libc.mount(*one) != 0 for one in mounts):
        return False
    # A process that stands in the folder stands below the mount, where it could still write.
    with contextlib.suppress(OSError):
        if os.path.samefile(os.curdir, folder):  # noqa: PTH121
            os.chdir(folder)
    return True
