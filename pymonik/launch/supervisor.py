"""Watches over one process and everything that it starts, however that tries to get away.

::

    owner ── ask, kill, or its end ──► supervisor ◄── orphans of everything below
          ◄── pid, then the end ──────    │ fork
                                          ▼
                        the process, in a session of its own ──► what it starts ──► ...

The supervisor is a child subreaper: whoever loses its parent below it becomes its child, in another
session or not, so the tree is known without marks. It ends the whole tree when the process ends,
when it is told to, and when the owner is gone, even by ``kill -9``: then the socket that both share
ends. If the supervisor itself is killed, the kernel kills the process, and orphans become children
of the next subreaper, which is the owner (see `pymonik.launch.orphans`).

One supervisor for each process costs a fork and about 1 MiB; for that, what a task waits for with
`os.wait` are its own children and nobody's orphans, and no part of the owner's memory, threads or
time is needed to end a tree.

Loaded by its path before the package (see `entry`), so it imports the standard library only.
"""

import functools
import os
import select
import signal
import sys
import time
from typing import Any

_SET_PDEATHSIG, _SET_CHILD_SUBREAPER = 1, 36  # of prctl; linux/prctl.h
_END_S = 5.0  # seconds for killed processes to be gone: the kernel may be busy with one of them
_STOP_ROUNDS = 20  # of stopping a tree that forks meanwhile: each stops what the one before missed
_OF_LIMIT = 0.8  # of a limit of processor time: who dies with so much of it used dies of it
_KNOWS_CHILDREN = os.path.exists("/proc/self/task")  # noqa: PTH110 - else the group has to do


def become_subreaper() -> bool:
    """Have orphans of what this process starts become its children; whether the system can."""
    return _prctl(_SET_CHILD_SUBREAPER, 1)


def cease_as_subreaper() -> None:
    """Have them become children of the process above that adopts them."""
    _prctl(_SET_CHILD_SUBREAPER, 0)


def supervise(control: int) -> None:
    """Return in a new process, which becomes what is to be supervised; never in this one.

    Args:
        control: The socket to the owner.
    """
    # Before the fork: nothing of the process may be orphaned before this one adopts it.
    become_subreaper()
    ours = os.getpid()
    try:
        pid = os.fork()
    except OSError as error:
        os.write(control, f"error {error.strerror}\n".encode())
        os._exit(1)
    if pid == 0:
        # The socket ends when the supervisor does, so the process must not hold it open. Its own
        # session is a group that signals can be sent to.
        os.close(control)
        os.setsid()
        _prctl(_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != ours:  # it was killed before the kernel was asked
            os._exit(1)
        return
    try:
        _Supervisor(control, pid).run()
    finally:
        os._exit(0)


class _Supervisor:
    def __init__(self, control: int, pid: int) -> None:
        self._control = control
        self._pid = pid
        self._status: int | None = None  # as `os.wait` gives it
        self._peak_kib = 0
        self._time_limit_s = 0  # of processor time, if that is what ended it
        self._kill_at: float | None = None  # of the monotonic clock
        self._unread = b""
        self._is_owned = True
        # What the process has open must end with it: a pipe that the supervisor held open as well
        # would never end for whoever reads it.
        os.closerange(0, control)
        os.closerange(control + 1, 1 << 16)
        self._woken, wake = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        # A handler, since Python writes to the pipe only for signals that have one.
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # the owner ends it, or its end does
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._poll.register(self._woken, select.POLLIN)

    def run(self) -> None:
        self._tell(f"pid {self._pid}")
        self._reap()
        while self._status is None:
            self._wait()
            self._reap()
        self._end_tree()
        status = os.waitstatus_to_exitcode(self._status)
        self._tell(f"ended {status} {self._peak_kib} {self._time_limit_s}")

    def _wait(self) -> None:
        """Until a child ends, the owner says something, or the grace is over."""
        left_s = None if self._kill_at is None else max(self._kill_at - time.monotonic(), 0.0)
        events = dict(self._poll.poll(None if left_s is None else left_s * 1000))
        if self._woken in events:
            os.read(self._woken, 4096)
        if self._control in events:
            self._obey()
        if self._kill_at is not None and time.monotonic() >= self._kill_at:
            self._kill_tree()
            self._kill_at = time.monotonic() + 0.1  # again, for what was forked meanwhile

    def _obey(self) -> None:
        try:
            said = os.read(self._control, 4096)
        except ConnectionError:
            said = b""
        if not said:  # the owner is gone
            self._poll.unregister(self._control)
            self._is_owned = False
            self._kill_at = 0.0
            return
        *lines, self._unread = (self._unread + said).split(b"\n")
        for line in lines:
            word, *numbers = line.split()
            if word == b"kill":
                self._kill_at = 0.0
            elif self._kill_at is None:
                self._ask(int(numbers[0]), float(numbers[1]))

    def _ask(self, number: int, grace_s: float) -> None:
        self._kill_at = time.monotonic() + grace_s
        _send(-self._pid, number)

    def _reap(self) -> None:
        if self._status is None:
            self._time_limit_s = _time_limit_that_ended(self._pid)
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            kib = usage.ru_maxrss // (1024 if sys.platform == "darwin" else 1)
            self._peak_kib = max(self._peak_kib, kib)
            # All children are reaped, adopted ones too, or they would stay as zombies; of one only
            # the status counts.
            if pid == self._pid:
                self._status = status

    def _end_tree(self) -> None:
        """Kill all that is left, and wait until it is gone."""
        end = time.monotonic() + _END_S
        # Orders are not read any more: the tree is ended in any case.
        if self._is_owned:
            self._poll.unregister(self._control)
        while below(os.getpid()) and time.monotonic() < end:
            self._kill_tree()
            if self._poll.poll(20):
                os.read(self._woken, 4096)
            self._reap()

    def _kill_tree(self) -> None:
        """Stop the processes first: one that forks would else be ahead of us."""
        if not _KNOWS_CHILDREN:
            _send(-self._pid, signal.SIGKILL)
            return
        known: set[int] = set()
        for _ in range(_STOP_ROUNDS):
            new = below(os.getpid()) - known
            if not new:
                break
            for pid in new:
                _send(pid, signal.SIGSTOP)
            known |= new
        for pid in known:
            _send(pid, signal.SIGKILL)

    def _tell(self, line: str) -> None:
        try:
            os.write(self._control, f"{line}\n".encode())
        except OSError:  # the owner is gone
            return


def _time_limit_that_ended(pid: int) -> int:
    """The seconds of processor time that a child had, if it has just died of using them; else 0.

    The kernel tells it by nothing but the signal, which anybody may send. The limit, and the time
    of the process without its children, can be read until it is reaped.
    """
    if sys.platform != "linux":
        return 0
    ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    if ended is None or ended.si_status not in (signal.SIGXCPU, signal.SIGKILL):
        return 0
    import resource  # 0.2 ms, which few need

    soft, hard = resource.prlimit(pid, resource.RLIMIT_CPU)
    # With each SIGXCPU the kernel adds a second to the soft limit.
    limit_s = soft - 1 if ended.si_status == signal.SIGXCPU else hard
    with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123 - no pathlib here
        user, system = file.read().rpartition(")")[2].split()[11:13]
    used_s = (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    # The kernel compares the limit with ticks, which are more than that where a machine is shared.
    return limit_s if 0 < limit_s * _OF_LIMIT <= used_s else 0


def below(pid: int) -> set[int]:
    """The processes that this one has started, and those that they have, and so on."""
    found: set[int] = set()
    new = [pid]
    while new:
        children = [child for one in new for child in children_of(one)]
        new = [child for child in children if child not in found]
        found.update(new)
    return found


def children_of(pid: int) -> list[int]:
    """Its children, by any of its threads; none where the system does not tell."""
    children: list[int] = []
    try:
        # The kernel lists children by the thread that has forked them.
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - no pathlib here
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:  # noqa: PTH123
                children += map(int, file.read().split())
    except OSError:  # it has ended, or a thread of it
        return children
    return children


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):  # gone, or another user's by now
        return


def _prctl(option: int, value: int) -> bool:
    if sys.platform != "linux":
        return False
    return bool(_system().prctl(option, value, 0, 0, 0) == 0)


@functools.cache
def _system() -> Any:
    import ctypes

    return ctypes.CDLL(None)
