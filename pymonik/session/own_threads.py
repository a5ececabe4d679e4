"""Threads of pymonik's own whose work others wait for: nothing may wait in them.

The garbage collector runs in any thread, and with it finalizers of the program. One that waits for
a call in the thread that is about to send that very call would wait for ever.
"""

from __future__ import annotations

import threading

from pymonik.errors import UsageError

_marks = threading.local()


def mark() -> None:
    """Mark this thread as one that others wait for, for as long as it lives."""
    _marks.is_own = True


def is_own() -> bool:
    """Whether this thread is one of them."""
    return getattr(_marks, "is_own", False)


def check() -> None:
    """Refuse to wait in a thread that others wait for.

    Raises:
        UsageError: This is one.
    """
    if is_own():
        raise UsageError("a finalizer that runs in one of pymonik's own threads cannot wait")
