"""However an executor comes to its end, its call says the truth, and the next one works."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from pymonik import LocalCluster, Pymonik, task
from pymonik.errors import TaskFailedError, WorkerLostError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TIMEOUT_S = 60.0


def _of_c() -> Any:
    return ctypes.CDLL(None)


def _use_processor_time(soft_s: int, hard_s: int) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (soft_s, hard_s))
    while True:
        pass


def _touch_beyond_the_end() -> None:
    """Read a part of a file that was cut off meanwhile, as a map of it."""
    import mmap
    import tempfile

    with tempfile.TemporaryFile() as file:
        file.truncate(1 << 20)
        mapped = mmap.mmap(file.fileno(), 1 << 20)
        file.truncate(0)
        mapped[1 << 16]


def _recur(number: int) -> Any:
    return sorted([number], key=_recur)


def _overflow_the_stack() -> None:
    sys.setrecursionlimit(10**8)
    thread = threading.Thread(target=_recur, args=(1,))
    thread.start()
    thread.join()


def _fail_an_assertion_in_c() -> None:
    os.write(2, b"thing.c:12: assertion failed\n")
    _of_c().abort()


def _exit_in_a_thread() -> None:
    threading.Thread(target=os._exit, args=(9,)).start()
    time.sleep(TIMEOUT_S)


def _say_last_words() -> None:
    print("for the last time")  # noqa: T201
    os._exit(4)


def _signal(number: int, pid: int | None = None) -> None:
    os.kill(pid or os.getpid(), number)
    time.sleep(TIMEOUT_S)


def _have_a_child_kill() -> None:
    subprocess.run(["sh", "-c", "kill -9 $PPID"], check=False)
    time.sleep(TIMEOUT_S)


BY_SOMEBODY = "SIGKILL, sent neither by pymonik nor by the system for lack of memory"
# What a call does, and what its error says.
ENDS: dict[str, tuple[Callable[[], object], str]] = {
    "exit": (lambda: os._exit(3), "task: exit code 3"),
    "exit as if all were well": (lambda: os._exit(0), "task: exit code 0"),
    "exit in a thread": (_exit_in_a_thread, "task: exit code 9"),
    "last words": (_say_last_words, "exit code 4.*last lines of stdout:\nfor the last time"),
    "another program": (lambda: os.execvp("sh", ["sh", "-c", "exit 5"]), "task: exit code 5"),
    "abort": (os.abort, "SIGABRT.*Fatal Python error: Aborted.*in come_to_an_end"),
    "abort in C": (
        _fail_an_assertion_in_c,
        "SIGABRT.*assertion failed\nFatal Python error.*in _fail_an_assertion_in_c",
    ),
    "fatal error": (
        lambda: ctypes.pythonapi.Py_FatalError(b"nothing goes"),
        "SIGABRT.*Fatal Python error: .*nothing goes",
    ),
    "bad address": (lambda: ctypes.string_at(0), "SIGSEGV.*Segmentation fault"),
    "end of a file": (_touch_beyond_the_end, "SIGBUS.*in _touch_beyond_the_end"),
    "illegal instruction": (lambda: _signal(signal.SIGILL), "SIGILL.*Illegal instruction"),
    "floating point": (lambda: _signal(signal.SIGFPE), "SIGFPE.*Floating"),
    "stack": (_overflow_the_stack, "task: SIGSEGV"),
    "SIGTERM": (lambda: _signal(signal.SIGTERM), "task: SIGTERM"),
    "real-time signal": (lambda: _signal(37), "task: signal 37"),
    "kill by itself": (lambda: _signal(signal.SIGKILL), BY_SOMEBODY),
    "kill by its child": (_have_a_child_kill, BY_SOMEBODY),
    "kill of its group": (lambda: os.killpg(0, signal.SIGKILL), BY_SOMEBODY),
    "kill of its parent": (
        lambda: _signal(signal.SIGKILL, os.getppid()),
        "its supervisor was ended by SIGKILL, not by pymonik",
    ),
    "processor time": (
        lambda: _use_processor_time(1, 1),
        "SIGKILL, sent by the system because it had used its processor time of 1 s",
    ),
    "processor time, asked": (
        lambda: _use_processor_time(1, 9),
        "SIGXCPU, sent by the system because it had used its processor time of 1 s",
    ),
}


@task(max_retries=0)
def come_to_an_end(how: str) -> None:
    ENDS[how][0]()


@task(max_retries=0)
def leave(how: object) -> None:
    sys.exit(how)  # type: ignore[arg-type]


@task(max_retries=0)
def leave_a_thread() -> str:
    thread = threading.Thread(target=sys.exit, args=(3,))
    thread.start()
    thread.join()
    return "here"


@task
def work() -> str:
    return "done"


@pytest.fixture(scope="module")
def client() -> Iterator[Pymonik]:
    with LocalCluster(workers=1) as cluster, Pymonik(cluster) as client:
        yield client


@pytest.mark.parametrize("how", ENDS)
def test_the_error_says_how_it_ended(client: Pymonik, how: str) -> None:
    failing = come_to_an_end.invoke(how, pymonik=client)
    next_one = work.invoke(pymonik=client)
    with pytest.raises(WorkerLostError, match=f"(?s){ENDS[how][1]}") as raised:
        failing.get(timeout=TIMEOUT_S)
    assert "pymonik/executor" not in str(raised.value)  # frames of ours help nobody
    assert next_one.get(timeout=TIMEOUT_S) == "done"


@pytest.mark.parametrize("how", [None, 0, 5, "no good"])
def test_sys_exit_ends_the_call_only(client: Pymonik, how: object) -> None:
    with pytest.raises(TaskFailedError, match=rf"sys\.exit\({how!r}\)"):
        leave.invoke(how, pymonik=client).get(timeout=TIMEOUT_S)


def test_sys_exit_in_a_thread_ends_the_thread_only(client: Pymonik) -> None:
    assert leave_a_thread.invoke(pymonik=client).get(timeout=TIMEOUT_S) == "here"
