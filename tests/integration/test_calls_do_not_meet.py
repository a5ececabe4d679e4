"""Whatever one call changes in its process, the next finds it as it was, or runs in another one.

What stays on purpose stays. Each row here stands in the table of docs/tasks.md.
"""

from __future__ import annotations

import asyncio
import atexit
import builtins
import contextvars
import ctypes
import decimal
import faulthandler
import gc
import locale
import logging
import multiprocessing
import operator
import os
import random
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pymonik import LocalCluster, Pymonik, task
from pymonik.errors import WorkerLostError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TIMEOUT_S = 50.0
LONGER_S = 0.002  # of an item of a chunk, after which all is looked at
PAGE = Path(__file__).parents[2] / "docs" / "tasks.md"
VARIABLE = contextvars.ContextVar("VARIABLE", default="as it was")


def _replace_streams() -> None:
    sys.stdout = sys.stderr = None


def _put_another_file_in_place() -> None:
    for fd in (0, 1, 2):
        os.dup2(os.open(os.devnull, os.O_RDWR), fd)


def _set_time_zone() -> None:
    os.environ["TZ"] = "Asia/Tokyo"
    time.tzset()


def _find_another_temporary_folder() -> None:
    os.environ["TMPDIR"] = os.getcwd()  # noqa: PTH109
    tempfile.gettempdir()


def _set_limit(name: str) -> None:
    kind = getattr(resource, f"RLIMIT_{name}")
    resource.setrlimit(kind, (20, resource.getrlimit(kind)[1]))


def _of_c() -> Any:
    return ctypes.CDLL(None)


def _run_an_event_loop() -> None:
    asyncio.run(asyncio.sleep(0))


def _close_an_event_loop() -> None:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.close()


def _change_the_collector() -> None:
    gc.disable()
    gc.set_threshold(1, 1, 1)


def _forbid_a_module() -> None:
    sys.modules["json"] = None  # type: ignore[assignment]


def _set_hooks() -> None:
    sys.excepthook = sys.unraisablehook = threading.excepthook = print
    sys.displayhook = sys.breakpointhook = print


def _leave_files_open() -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    _kept.extend(os.open(os.devnull, os.O_RDONLY) for _ in range(most // 2))


def _a_processor() -> int:
    return min(os.sched_getaffinity(0))


_kept: list[object] = []  # what calls leave in a global stays

# Each is a line of the table in docs/tasks.md.
CHANGES: dict[str, Callable[[], object]] = {
    "the current folder": lambda: os.chdir("/"),
    "the umask": lambda: os.umask(0o777),
    "`os.environ`": lambda: os.environ.update(A="1", PATH=""),
    "variables that C alone has": lambda: _of_c().setenv(b"B", b"1", 1),
    "variables by `os.putenv`": lambda: os.putenv("C", "1"),
    "variables taken from C": lambda: os.unsetenv("PATH"),
    "all variables taken from C": lambda: _of_c().clearenv(),
    "the time zone": _set_time_zone,
    "the locale": lambda: locale.setlocale(locale.LC_ALL, "POSIX"),
    "alarms": lambda: signal.alarm(60),
    "timers": lambda: signal.setitimer(signal.ITIMER_PROF, 60),
    "`threading.Timer`": lambda: threading.Timer(60, os._exit, (3,)).start(),
    "signal handlers": lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
    "blocked signals": lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]),
    "standard files that were closed": lambda: os.closerange(0, 3),
    "standard files by `os.dup2`": _put_another_file_in_place,
    "standard streams that were closed": lambda: sys.stdout.close(),
    "standard streams that were deleted": lambda: delattr(sys, "stdout"),
    "standard streams that were replaced": _replace_streams,
    "encodings of standard streams": lambda: sys.stdout.reconfigure(encoding="ascii"),  # type: ignore[union-attr]
    "soft limits of the process": lambda: _set_limit("NOFILE"),
    "the limit of locked memory": lambda: _set_limit("MEMLOCK"),
    "the recursion limit": lambda: sys.setrecursionlimit(5000),
    "the switch interval": lambda: sys.setswitchinterval(1),
    "`socket.setdefaulttimeout`": lambda: socket.setdefaulttimeout(0.001),
    "filters of warnings": lambda: warnings.simplefilter("error"),
    "debugging of `gc`": lambda: gc.set_debug(gc.DEBUG_SAVEALL),
    "thresholds of `gc`": _change_the_collector,
    "`sys.argv`": lambda: sys.argv.append("more"),
    "folders taken from `sys.path`": lambda: sys.path.clear(),
    "finders taken from `sys.meta_path`": lambda: sys.meta_path.clear(),
    "hooks of `sys` and `threading`": _set_hooks,
    "`sys.settrace`": lambda: sys.settrace(lambda *_: None),
    "`sys.setprofile`": lambda: sys.setprofile(lambda *_: None),
    "`threading.settrace`": lambda: threading.settrace(lambda *_: None),
    "`sys.tracebacklimit`": lambda: setattr(sys, "tracebacklimit", 0),
    "`tracemalloc`": lambda: tracemalloc.start(),
    "`faulthandler`": lambda: faulthandler.disable(),
    "built-in functions": lambda: setattr(builtins, "print", None),
    "modules taken from `sys.modules`": _forbid_a_module,
    "`logging.disable`": lambda: logging.disable(logging.CRITICAL),
    "stack sizes of threads": lambda: threading.stack_size(1 << 20),
    "the folder of `tempfile`": _find_another_temporary_folder,
    "an event loop that was run": _run_an_event_loop,
    "an event loop that was closed": _close_an_event_loop,
    "the context of `decimal`": lambda: setattr(decimal.getcontext(), "prec", 3),
    "context variables": lambda: VARIABLE.set("changed"),
}
RETIRES: dict[str, Callable[[], object]] = {
    "the scheduling": lambda: os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0)),
    "the priority": lambda: os.nice(1),
    "hard limits of the process": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200)),
    "half of the files that may be open": _leave_files_open,
}
if len(os.sched_getaffinity(0)) > 1:
    RETIRES["the set of processors"] = lambda: os.sched_setaffinity(0, [_a_processor()])
if os.geteuid() == 0:
    RETIRES |= {
        "the user": lambda: os.seteuid(65534),
        "groups": lambda: os.setgroups([5]),
        "the root folder": lambda: os.chroot("/usr"),
    }


def _policy() -> str:
    return type(asyncio.get_event_loop_policy()).__name__


class _Policy(asyncio.DefaultEventLoopPolicy):
    """Another one."""


def _put_in_place(value: str) -> None:
    setattr(operator, "concat", value)  # noqa: B010 - of another type


def _named(name: str) -> bool:
    return any(thread.name == name for thread in threading.enumerate())


# What a call does, and what the next one sees of it.
STAYS: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
    "imported modules": (lambda: __import__("colorsys"), lambda: "colorsys" in sys.modules),
    "globals of modules": (lambda: _kept.append("left"), lambda: "left" in _kept),
    "what stands for functions of modules": (
        lambda: _put_in_place("another"),
        lambda: vars(operator)["concat"] == "another",
    ),
    "folders added to `sys.path`": (lambda: sys.path.append("/more"), lambda: "/more" in sys.path),
    "filters that ignore a certain warning": (
        lambda: warnings.filterwarnings("ignore", "a certain"),
        lambda: any("a certain" in str(one[1]) for one in warnings.filters),
    ),
    "levels and handlers of `logging`": (
        lambda: logging.getLogger("mine").setLevel(5),
        lambda: logging.getLogger("mine").level == 5,
    ),
    "`random.seed`": (
        lambda: random.seed(1),
        lambda: random.random() == random.Random(1).random(),
    ),
    "the start method of `multiprocessing`": (
        lambda: multiprocessing.set_start_method("spawn", force=True),
        lambda: multiprocessing.get_start_method() == "spawn",
    ),
    "the event loop policy": (
        lambda: asyncio.set_event_loop_policy(_Policy()),
        lambda: _policy() == "_Policy",
    ),
    "an event loop that is open": (
        lambda: asyncio.set_event_loop(asyncio.new_event_loop()),
        lambda: asyncio.get_event_loop_policy().get_event_loop() is not None,
    ),
    "threads": (
        lambda: threading.Thread(target=time.sleep, args=(600,), name="mine", daemon=True).start(),
        lambda: _named("mine"),
    ),
    "names of threads": (
        lambda: setattr(threading.current_thread(), "name", "renamed"),
        lambda: _named("renamed"),
    ),
    "child processes": (
        lambda: _kept.append(subprocess.Popen(["sleep", "600"])),
        lambda: [one.poll() for one in _kept if isinstance(one, subprocess.Popen)] == [None],
    ),
    "some open files": (
        lambda: _kept.append(open(os.devnull)),  # noqa: PTH123, SIM115
        lambda: os.devnull in [getattr(one, "name", "") for one in _kept],
    ),
    "signals that C ignores": (
        lambda: _of_c().signal(int(signal.SIGUSR2), 1),
        lambda: int(_status("SigIgn"), 16) >> signal.SIGUSR2 - 1 & 1 == 1,
    ),
}


decimal.getcontext()  # as many modules do at their import: then all calls would have the same one


@task
def change(what: str) -> int:
    {**CHANGES, **RETIRES}[what]()
    time.sleep(LONGER_S)
    return os.getpid()


@task
def look() -> tuple[int, dict[str, object]]:
    return os.getpid(), _seen()


@task
def change_or_look(what: str) -> dict[str, object]:
    if not what:
        return _seen()
    change.func(what)
    return {}


@task
def do(what: str) -> None:
    STAYS[what][0]()


@task
def see(what: str) -> object:
    return STAYS[what][1]()


@task
def leave_files_open(number: int) -> int:
    _kept.extend(os.open(os.devnull, os.O_RDONLY) for _ in range(number))
    return os.getpid()


@task(max_retries=0)
def close_all_but_standard_files() -> None:
    os.closerange(3, 1 << 16)


@task
def at_exit(path: str) -> None:
    atexit.register(Path(path).touch)


def _status(name: str) -> str:
    status = dict(line.split(":\t", 1) for line in open("/proc/self/status"))  # noqa: PTH123, SIM115
    return status[name].strip()


def _loop() -> bool:
    """Whether a loop is made where none was set."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        policy = asyncio.get_event_loop_policy()
        loop = policy.get_event_loop()
        policy.set_event_loop(None)
    loop.close()
    return True


def _seen() -> dict[str, object]:
    stack = threading.stack_size()
    streams = [(one.encoding, one.errors) for one in (sys.stdout, sys.stderr)]
    sys.stdout.write("é")
    return {
        "folder": os.getcwd(),  # noqa: PTH109
        "status": [_status(name) for name in ("Umask", "SigBlk", "SigIgn")],
        "variables": dict(os.environ),
        "variables of children": sorted(_variables_of_children()),
        "time": (time.tzname, locale.setlocale(locale.LC_ALL)),
        "timers": [signal.getitimer(timer) for timer in (0, 1, 2)],
        "handlers": [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)],
        "files": [os.readlink(f"/proc/self/fd/{fd}") for fd in (0, 1, 2)],  # noqa: PTH115
        "streams": streams,
        "interpreter": (sys.getrecursionlimit(), sys.getswitchinterval(), len(sys.argv)),
        "sockets": socket.getdefaulttimeout(),
        "collector": (gc.isenabled(), gc.get_threshold(), gc.get_debug()),
        "path": (bool(sys.path), len(sys.meta_path)),
        "hooks": [getattr(sys, name).__name__ for name in ("excepthook", "displayhook")],
        "hook of threads": threading.excepthook.__name__,
        "traces": (sys.gettrace(), sys.getprofile(), threading.gettrace()),
        "tracebacks": getattr(sys, "tracebacklimit", None),
        "memory is traced": tracemalloc.is_tracing(),
        "crashes are shown": faulthandler.is_enabled(),
        "built in": (builtins.print is not None, sys.modules.get("json") is not None),
        "errors": [one for one in warnings.filters if one[0] == "error"],
        "logging": logging.root.manager.disable,
        "stack": stack,
        "temporary": tempfile.gettempdir(),
        "limits": [resource.getrlimit(one) for one in (resource.RLIMIT_NOFILE, 8)],
        "scheduling": (os.sched_getscheduler(0), os.nice(0), os.sched_getaffinity(0)),
        "user": (os.geteuid(), os.getgroups(), Path("/usr").exists()),
        "threads": [one.name for one in threading.enumerate() if isinstance(one, threading.Timer)],
        "loop": _loop(),
        "contexts": (decimal.getcontext().prec, VARIABLE.get()),
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
    process, _ = before.get(timeout=TIMEOUT_S)
    assert changed.get(timeout=TIMEOUT_S) == process
    assert after.get(timeout=TIMEOUT_S) == before.get(timeout=TIMEOUT_S)


@pytest.mark.parametrize("what", CHANGES)
def test_the_next_item_of_a_chunk_finds_all_as_it_was(client: Pymonik, what: str) -> None:
    before, _, after = change_or_look.map_invoke(["", what, ""], chunk_size=3, pymonik=client).get(
        timeout=TIMEOUT_S
    )
    assert before
    assert before == after


@pytest.mark.parametrize("what", RETIRES)
def test_what_cannot_be_put_back_has_another_executor(client: Pymonik, what: str) -> None:
    before = look.invoke(pymonik=client)
    changed = change.invoke(what, pymonik=client)
    process, seen = look.invoke(pymonik=client).get(timeout=TIMEOUT_S)
    assert changed.get(timeout=TIMEOUT_S) != process
    assert seen == before.get(timeout=TIMEOUT_S)[1]


@pytest.mark.parametrize("what", STAYS)
def test_what_stays_on_purpose_stays(client: Pymonik, what: str) -> None:
    do.invoke(what, pymonik=client)
    assert see.invoke(what, pymonik=client).get(timeout=TIMEOUT_S) is True


def test_calls_that_each_leave_some_files_open_never_lack_one(client: Pymonik) -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    some = [leave_files_open.invoke(soft // 10, pymonik=client) for _ in range(12)]
    assert len({one.get(timeout=TIMEOUT_S) for one in some}) > 1


def test_a_call_that_closes_the_socket_of_the_executor_harms_itself(client: Pymonik) -> None:
    with pytest.raises(WorkerLostError, match="closed"):
        close_all_but_standard_files.invoke(pymonik=client).get(timeout=TIMEOUT_S)
    assert look.invoke(pymonik=client).get(timeout=TIMEOUT_S)


def test_functions_of_atexit_do_not_run(tmp_path: Path) -> None:
    with LocalCluster(workers=1) as cluster, Pymonik(cluster):
        at_exit.invoke(str(tmp_path / "ended")).get(timeout=TIMEOUT_S)
    assert not (tmp_path / "ended").exists()


def test_the_page_says_all_of_it() -> None:
    _, _, section = PAGE.read_text().partition("## What a call leaves behind")
    rows = re.findall(r"^\| (.*) \| (.*) \|$", section.partition("\n## ")[0], re.MULTILINE)
    told = {kind: set(things.split("; ")) for kind, things in rows}
    assert told["is put back"] == {*CHANGES}
    assert told["gets another executor"] >= {*RETIRES}
    assert told["stays"] == {*STAYS}
