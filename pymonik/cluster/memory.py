"""Memory that nothing uses any more, back to the system.

Python and the C library keep what was freed for later. After a large session that is hundreds of
MiB, which may never be needed again.
"""

from __future__ import annotations

import ctypes
import gc


def give_back() -> None:
    """Free cycles, then the pages that nothing is in; takes some tenths of a second."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # only glibc needs, and has, it
    if trim is not None:
        trim(0)
