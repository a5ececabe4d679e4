"""Memory that nothing uses any more, back to the system.

Python and the C library keep what was freed for later. After a large session that is hundreds of
MiB, which may never be needed again.
"""

from __future__ import annotations

import ctypes
import gc
from typing import Any

_ARENA_MAX = -8  # of mallopt


def share_arenas() -> None:
    """Have all threads of this process allocate from the same places: less is kept in each."""
    _c_library("mallopt", _ARENA_MAX, 2)


def give_back() -> None:
    """Free cycles, then the pages that nothing is in; takes some tenths of a second."""
    gc.collect()
    _c_library("malloc_trim", 0)


def _c_library(name: str, *arguments: int) -> None:
    function: Any = getattr(ctypes.CDLL(None), name, None)  # only glibc needs, and has, these
    if function is not None:
        function(*arguments)
