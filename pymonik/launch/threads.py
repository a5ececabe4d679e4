"""Whether the system grants the threads that a process of ours needs.

gRPC ends the whole process, without a word in Python, when it cannot start one of its threads. So
they are tried before: where the limit of processes is low, that is an error that says so.
"""

from __future__ import annotations

import sys
import threading

from pymonik.errors import ConfigError

# Seconds for which a thread waits, whatever happens to the one that has started it.
_MOST_S = 10.0


def check(count: int) -> None:
    """Start so many threads at once, and end them; takes about a millisecond.

    Raises:
        ConfigError: The system refuses one.
    """
    # A lock, which is released in one step: an interrupt in the middle of `Event.set` would leave
    # the threads waiting.
    over = threading.Lock()
    over.acquire()
    started: list[threading.Thread] = []
    try:
        for number in range(count):
            thread = threading.Thread(
                target=_pass, args=(over,), name=f"trial {number}", daemon=True
            )
            thread.start()
            started.append(thread)
    except RuntimeError as error:
        raise ConfigError(
            f"the system grants {len(started)} of {count} threads that are needed{_limit()}"
        ) from error
    finally:
        over.release()
        for thread in started:
            thread.join()


def _pass(over: threading.Lock) -> None:
    """Wait until the lock is free, and leave it free for the next thread."""
    if over.acquire(timeout=_MOST_S):
        over.release()


def _limit() -> str:
    if sys.platform == "win32":
        return ""
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    if soft == resource.RLIM_INFINITY:
        return ": is the limit of processes of the container too low?"
    return f": this user may have {soft} processes and threads (`ulimit -u`), all programs counted"
