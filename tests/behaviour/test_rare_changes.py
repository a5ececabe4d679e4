"""A call finds everything as it was, whatever the call right before it did for the first time."""

from __future__ import annotations

import os
import signal
import socket
import sys

from pymonik import Pymonik, task

TIMEOUT_S = 50.0

Seen = tuple[int, "float | None", bool, int]


@task
def sometimes(n: int) -> Seen:
    mask = os.umask(0o022)
    os.umask(mask)
    is_default = signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
    seen = (mask, socket.getdefaulttimeout(), is_default, sys.getrecursionlimit())
    if n % 10 == 9:  # after some calls that have changed nothing
        os.umask(0o777)
        socket.setdefaulttimeout(1)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        sys.setrecursionlimit(500)
    return seen


def test_calls_that_follow_each_other_at_once_do_not_meet(client: Pymonik) -> None:
    calls = [sometimes.invoke(n) for n in range(60)]

    assert len({call.get(timeout=TIMEOUT_S) for call in calls}) == 1
