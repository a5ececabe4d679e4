"""Whatever one call changes in its process, the next finds it as it was, or runs in another one."""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from pymonik import LocalCluster, Pymonik, task

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT_S = 50.0
LONGER_S = 0.002  # of an item of a chunk, after which all is looked at


def _replace_streams() -> None:
    sys.stdout = sys.stderr = None


def _find_another_temporary_folder() -> None:
    os.environ["TMPDIR"] = os.getcwd()  # noqa: PTH109
    tempfile.gettempdir()


def _set_limit(name: str) -> None:
    kind = getattr(resource, f"RLIMIT_{name}")
    resource.setrlimit(kind, (20, resource.getrlimit(kind)[1]))


def _of_c() -> Any:
    return ctypes.CDLL(None)


CHANGES = {
    "folder": lambda: os.chdir("/"),
    "umask": lambda: os.umask(0o777),
    "variables": lambda: os.environ.update(A="1", PATH=""),
    "variables of C": lambda: _of_c().setenv(b"B", b"1", 1),
    "variables by putenv": lambda: os.putenv("C", "1"),
    "variable taken from C": lambda: os.unsetenv("PATH"),
    "no variables at all": lambda: _of_c().clearenv(),
    "alarm": lambda: signal.alarm(60),
    "timer": lambda: signal.setitimer(signal.ITIMER_PROF, 60),
    "timer in a thread": lambda: threading.Timer(60, os._exit, (3,)).start(),
    "handlers": lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
    "signals that are blocked": lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]),
    "closed standard files": lambda: os.closerange(0, 3),
    "closed streams": lambda: sys.stdout.close(),
    "deleted streams": lambda: delattr(sys, "stdout"),
    "replaced streams": _replace_streams,
    "encoding of streams": lambda: sys.stdout.reconfigure(encoding="ascii", errors="strict"),  # type: ignore[union-attr]
    "recursion limit": lambda: sys.setrecursionlimit(5000),
    "time-out of sockets": lambda: socket.setdefaulttimeout(0.001),
    "warnings": lambda: warnings.simplefilter("error"),
    "collector": lambda: gc.set_debug(gc.DEBUG_SAVEALL),
    "arguments": lambda: sys.argv.append("more"),
    "path": lambda: sys.path.clear(),
    "finders": lambda: sys.meta_path.clear(),
    "logging": lambda: logging.disable(logging.CRITICAL),
    "stacks of threads": lambda: threading.stack_size(1 << 20),
    "folder of temporary files": _find_another_temporary_folder,
    "limit of open files": lambda: _set_limit("NOFILE"),
    "limit of locked memory": lambda: _set_limit("MEMLOCK"),
    "scheduling": lambda: os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0)),
}


@task
def change(what: str) -> None:
    CHANGES[what]()
    time.sleep(LONGER_S)


@task
def look() -> dict[str, object]:
    return _seen()


@task
def change_or_look(what: str) -> dict[str, object]:
    if not what:
        return _seen()
    change.func(what)
    return {}


def _seen() -> dict[str, object]:
    status = dict(line.split(":\t", 1) for line in open("/proc/self/status"))  # noqa: PTH123, SIM115
    stack = threading.stack_size()
    streams = [(one.encoding, one.errors) for one in (sys.stdout, sys.stderr)]
    sys.stdout.write("é")
    return {
        "folder": os.getcwd(),  # noqa: PTH109
        "status": [status[name] for name in ("Umask", "SigBlk", "SigIgn")],
        "variables": dict(os.environ),
        "variables of children": sorted(_variables_of_children()),
        "timers": [signal.getitimer(timer) for timer in (0, 1, 2)],
        "handlers": [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)],
        "files": [os.readlink(f"/proc/self/fd/{fd}") for fd in (0, 1, 2)],  # noqa: PTH115
        "streams": streams,
        "interpreter": (sys.getrecursionlimit(), socket.getdefaulttimeout(), gc.get_debug()),
        "arguments": len(sys.argv),
        "path": (bool(sys.path), len(sys.meta_path)),
        "errors": [one for one in warnings.filters if one[0] == "error"],
        "logging": logging.root.manager.disable,
        "stack": stack,
        "temporary": tempfile.gettempdir(),
        "limits": [resource.getrlimit(one) for one in (resource.RLIMIT_NOFILE, 8)],
        "scheduling": os.sched_getscheduler(0),
        "threads": [one.name for one in threading.enumerate() if isinstance(one, threading.Timer)],
    }


def _variables_of_children() -> list[bytes]:
    done = subprocess.run(["/usr/bin/env"], stdout=subprocess.PIPE, check=True)
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def client() -> Iterator[Pymonik]:
    with LocalCluster(workers=1) as cluster, Pymonik(cluster, max_retries=0) as client:
        yield client


@pytest.mark.parametrize("what", CHANGES)
def test_the_next_task_finds_all_as_it_was(client: Pymonik, what: str) -> None:
    before = look.invoke(pymonik=client)
    changed = change.invoke(what, pymonik=client)
    after = look.invoke(pymonik=client)
    assert changed.get(timeout=TIMEOUT_S) is None
    assert after.get(timeout=TIMEOUT_S) == before.get(timeout=TIMEOUT_S)


IN_CHUNKS = [what for what in CHANGES if what != "scheduling"]  # cannot be put back


@pytest.mark.parametrize("what", IN_CHUNKS)
def test_the_next_item_of_a_chunk_finds_all_as_it_was(client: Pymonik, what: str) -> None:
    before, _, after = change_or_look.map_invoke(["", what, ""], chunk_size=3, pymonik=client).get(
        timeout=TIMEOUT_S
    )
    assert before
    assert before == after
