"""What the C library keeps of freed memory: enough for the next message, not that of a session.

Python and the C library keep what was freed for later. After a large session that is hundreds of
MiB, which may never be needed again. But what one message of a stream has used, the next one needs.
"""

from __future__ import annotations

import ctypes
import gc
from typing import Any

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # of mallopt
_KEPT = 32 << 20  # bytes that are free, in each arena
_MESSAGE = 8 << 20  # bytes; what is larger is fetched from the system, and given back at once


def set_up() -> None:
    """Have all threads of this process allocate from the same places, and keep little there."""
    _c_library("mallopt", _ARENA_MAX, 2)
    _c_library("mallopt", _TRIM_THRESHOLD, _KEPT)
    _c_library("mallopt", _MMAP_THRESHOLD, _MESSAGE)


def give_back() -> None:
    """Free cycles, then the pages that nothing is in; takes some tenths of a second."""
    gc.collect()
    _c_library("malloc_trim", 0)


def _c_library(name: str, *arguments: int) -> None:
    function: Any = getattr(ctypes.CDLL(None), name, None)  # only glibc needs, and has, these
    if function is not None:
        function(*arguments)
