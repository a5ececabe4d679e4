"""How many files a process may have open: ours take what the system grants, and say what they lack.

The soft limit is 1 024 on most systems, for the sake of programs that use `select`; a process may
raise its own up to the hard limit. A cluster has a dozen files open for each executor. What it
starts gets the soft limit back that the cluster was started with (`launch.entry` sets it), since
user code relies on it: it calls `select`, or closes all descriptors in a loop.
"""

from __future__ import annotations

import contextlib
import os
import sys

from pymonik.errors import ConfigError
from pymonik.launch import entry

_ENOUGH = 1 << 16  # more than any cluster of ours opens
# Files for requests, clients and what executors share, beside those of the executors.
_RESERVE = 64


def raise_limit() -> None:
    """Let this process open as many files as the system grants; those that it starts may not."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft == resource.RLIM_INFINITY or wanted <= soft:
        return
    with contextlib.suppress(OSError, ValueError):  # macOS has a lower limit that it does not tell
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        os.environ[entry.OPEN_FILES] = str(soft)


def check(count: int) -> None:
    """Open so many files at once, and close them; takes about a tenth of a millisecond.

    Raises:
        ConfigError: The system refuses one.
    """
    opened: list[int] = []
    try:
        for _ in range(count):
            opened.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))  # noqa: PERF401
    except OSError as error:
        raise ConfigError(
            f"the system grants {len(opened)} of {count} open files that are needed{_limit()}: "
            f"{error.strerror}"
        ) from error
    finally:
        for fd in opened:
            os.close(fd)


def room_for(each: int) -> int:
    """How many things fit that have so many files open each, with a reserve for all others."""
    soft = _soft_limit()
    return sys.maxsize if soft is None else max(soft - _RESERVE, 0) // each


def _soft_limit() -> int | None:
    if sys.platform == "win32":
        return None
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def _limit() -> str:
    soft = _soft_limit()
    return "" if soft is None else f", this process may have {soft} (`ulimit -n`)"
