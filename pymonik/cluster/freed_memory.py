"""What the C library keeps of freed memory: enough for the next message, not that of a session.

Python and the C library keep what was freed for later. After a large session that is hundreds of
MiB, which may never be needed again. But what one message of a stream has used, the next one needs.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import threading
from typing import Any

# Seconds from a request to the giving back. Must exceed `IDLE_S` of the threads that answer
# requests: while these live, their small objects keep pages that are free otherwise.
CALM_S = 2.0
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # parameters of mallopt(3), from malloc.h
_KEPT = 32 << 20  # free bytes that malloc keeps at the end of its memory before it gives some back
_MESSAGE = (
    8 << 20
)  # bytes from which malloc maps a piece of its own, which `free` gives back at once


def set_up() -> None:
    """Have all threads of this process allocate from one place, and keep little there.

    For the program to call first: threads that have a place of their own keep it.
    """
    set_option = _c_function("mallopt")
    # By default glibc gives up to eight arenas for each processor, and memory that was freed in one
    # serves no thread of another.
    set_option(_ARENA_MAX, 1)
    set_option(_TRIM_THRESHOLD, _KEPT)
    set_option(_MMAP_THRESHOLD, _MESSAGE)


def give_back() -> None:
    """Free cycles, then the pages that nothing is in; takes some hundredths of a second."""
    gc.collect()
    _c_function("malloc_trim")(0)


class GivingBack:
    """Gives memory back some time after it was asked to: requests and threads have ended by then.

    The interpreter gives back a MiB when nothing at all is in it, and they have something in many.
    """

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory")

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def ask(self) -> None:
        """Much is not used any more."""
        self._asked.set()

    def stop(self) -> None:
        """End the thread; it need not have been started."""
        self._stopping.set()
        self._asked.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while self._asked.wait():
            self._asked.clear()  # before the pause: what is asked during it is done once more
            if self._stopping.wait(CALM_S):
                return
            give_back()


@functools.cache
def _c_function(name: str) -> Any:
    """A function of glibc; elsewhere one that does nothing, as there is nothing to be done."""
    return getattr(ctypes.CDLL(None), name, lambda *_: 0)
