"""Children of this process that it did not start: processes whose supervisor was killed.

A process that owns others (a cluster, a worker) is a child subreaper, as supervisors are. Orphans
come to it only when a supervisor dies before its tree does. So whatever child of this process was
not started by `start` is to be ended, and needs no mark to be known.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from typing import TYPE_CHECKING, Any

from pymonik.launch import supervisor

if TYPE_CHECKING:
    from collections.abc import Sequence

_lock = threading.Lock()  # held from a fork until the child is known
_started: set[subprocess.Popen[bytes]] = set()
_is_owner = False


def adopt() -> None:
    """Have orphans become children of this process, rather than of the first of the system."""
    global _is_owner
    _is_owner = supervisor.become_subreaper()


def start(command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own; see `subprocess.Popen`."""
    with _lock:
        # Their numbers may be given to other processes, which would be taken for ours.
        _started.difference_update([one for one in _started if one.returncode is not None])
        started = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, bufsize=0, start_new_session=True, **options
        )
        _started.add(started)
        return started


def end() -> None:
    """Kill all orphans with what they started, and reap them."""
    if not _is_owner:
        return
    with _lock:
        for pid in _orphans():
            # Found before any is killed: what a killed process has started becomes another's child
            # at once.
            for one in (pid, *supervisor.below(pid)):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(one, signal.SIGKILL)
    reap()


def reap() -> None:
    """Reap orphans that have ended; as the first process of a container nobody else does."""
    with _lock:
        for pid in _orphans():
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def _orphans() -> list[int]:
    known = {one.pid for one in _started}
    return [pid for pid in supervisor.children_of(os.getpid()) if pid not in known]
