"""One executor, as its parent sees it: start it, give it a call, wait for what comes first.

::

    STARTING ── ready ──► IDLE ── run ──► RUNNING ── answer ──► IDLE
                           any of them ── death, kill ──► DEAD
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from pymonik.code.failure import Failure
from pymonik.errors import TaskTimeoutError, WorkerLostError
from pymonik.executor.ahead import SLOW_S, Ahead
from pymonik.executor.channel import Answer, answer_decoder
from pymonik.executor.chunk import LATE_S
from pymonik.executor.claims import Offer
from pymonik.executor.endings import Ending, Failed, Lost, Retry, TimedOut
from pymonik.executor.frames import HandedOver, Ready, Report, Run
from pymonik.executor.limits import WATCH_INTERVAL_S, MemoryWatch, in_mib
from pymonik.executor.output import OutputStream
from pymonik.wire.framing import Inbox, framed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pymonik.executor.chunk import Chunk

_START_LIMIT_S = 120.0
_LONGEST_POLL_S = 86_400.0
_NOTHING = memoryview(b"")
_READABLE = select.POLLIN | select.POLLHUP | select.POLLERR


class ExecutorProcess:
    """A running executor; one call at a time. `kill` may come from any thread.

    Attributes:
        ahead: What it gets before it needs it.
        has_printed: Whether the last run did; then the executor looks at no run sent ahead.
    """

    def __init__(
        self,
        *,
        packages: str = "",
        memory_limit: int | None = None,
        on_output: Callable[[str, str, str], None] | None = None,
    ) -> None:
        self._lock = threading.Lock()  # a process that was waited for must not be killed
        self._memory_limit = memory_limit
        self._memory_watch: MemoryWatch | None = None
        self._memory_at_start: int | None = None
        self._peak_memory = 0
        self._task_id = ""
        self._run: Run | None = None  # the present one
        self.has_printed = False
        self._unsent = _NOTHING
        self._is_blocked = False  # the socket is full: told when there is room
        with ExitStack() as opened:
            self._offer = Offer()
            opened.callback(self._offer.close)
            self.ahead = Ahead()
            opened.callback(self.ahead.close)
            ours, theirs = socket.socketpair()
            opened.callback(ours.close)
            with theirs:
                fds = (theirs.fileno(), *self._offer.fds, *self.ahead.fds)
                self._process = _spawn(fds, packages, memory_limit)
            opened.pop_all()
        ours.settimeout(0)
        self._socket = ours
        self._inbox = Inbox(ours)
        if self._process.stdout is None or self._process.stderr is None:
            raise RuntimeError("the executor has no output")
        self._out = OutputStream(self._process.stdout.fileno(), "stdout", on_output)
        self._err = OutputStream(self._process.stderr.fileno(), "stderr", on_output)
        self._sentinel = _sentinel(self._process.pid)
        self._poll = select.poll()
        for fd in (ours.fileno(), self._out.fd, self._err.fd, self._sentinel):
            if fd is not None:
                self._poll.register(fd, _READABLE)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it can take a call, as far as is known."""
        return self._process.returncode is None

    def run(
        self,
        run: Run,
        time_limit_s: float | None,
        chunk: Chunk | None = None,
        on_slow: Callable[[], None] | None = None,
    ) -> Ending:
        """Run one task and wait; afterwards the executor may be dead, see `is_alive`.

        Args:
            run: The task.
            time_limit_s: After so many seconds it is killed.
            chunk: Its calls, if there are several.
            on_slow: Called when it takes long; of the runs sent ahead, `ahead` then counts only
                those that have begun nevertheless.
        """
        self._drain_ready()  # what threads of the call before have printed since is theirs
        self._finish_lines()
        self._begin(run)
        if self._memory_at_start is None and (ending := self._await_start()) is not None:
            return ending
        if chunk is not None:
            self._offer.offer(chunk.size)
            time_limit_s = chunk.time_limit_s(time_limit_s)
        self._order(run)
        return self._ending(self._await(time_limit_s, chunk, on_slow), chunk)

    def follow(
        self, run: Run, time_limit_s: float | None, on_slow: Callable[[], None] | None
    ) -> Ending:
        """Like `run`, for the first of the runs that were sent ahead."""
        self.ahead.count -= 1
        self._begin(run)
        if self._inbox.has_some():  # its answer came with the last one, unlike what it printed
            self._read_printed(dict(self._poll.poll(0)))
        return self._ending(self._await(time_limit_s, None, on_slow), None)

    def _begin(self, run: Run) -> None:
        self._task_id = run.task_id
        self._run = run
        self.has_printed = False
        self._out.forget()
        self._err.forget()

    def _order(self, order: Run | HandedOver) -> None:
        self._unsent = memoryview(bytes(self._unsent) + framed(order))
        self._send()

    def _take_back(self) -> None:
        """Take back what was sent ahead and has not begun; the present run has to begin."""
        waiting = self.ahead.count
        if self.ahead.take_back() > waiting and self._run is not None:
            self._order(self._run)

    def _ending(self, answer: Answer | TimedOut | Failed | None, chunk: Chunk | None) -> Ending:
        if not self.is_alive:  # else it flushed before it reported: that was read already
            self._drain_ready()
        self._finish_lines()
        self._run = None  # an executor may be idle for long
        ending = self._checked(answer)
        if chunk is not None and not self.is_alive:
            return self._salvaged(chunk, ending)
        return ending

    def _checked(self, answer: Answer | TimedOut | Failed | None) -> Ending:
        if answer is None or isinstance(answer, Ready):
            return Lost(self._obituary())
        if isinstance(answer, Report | Failed | Retry) and answer.task_id not in (
            "",
            self._task_id,
        ):
            self.stop()  # its answers are off: none may be taken for another's
            return Lost(self._obituary(f"the executor answered for task {answer.task_id}"))
        return answer

    def _salvaged(self, chunk: Chunk, ending: Ending) -> Ending:
        begun = chunk.kept - self._offer.take_back()
        return chunk.salvaged(ending, self._offer.finished(), begun)

    def _hand_over(self, chunk: Chunk) -> None:
        """The run takes its time: have what it has not begun run elsewhere."""
        left = self._offer.take_back()
        if not left:
            return
        places = chunk.hand_over(chunk.size - left, self._offer.count_finished())
        if places is None:
            self._offer.give_back(left)
        # Told in any case: having found no call, the executor may be waiting for it.
        self._order(HandedOver(items=places or []))

    def kill(self) -> None:
        """End it and whatever it started, at once; `run` then returns `Lost`."""
        with self._lock:
            if self._process.returncode is None:
                _kill_group(self._process.pid)

    def close(self) -> None:
        """Kill it, wait for it, and free what belongs to it."""
        self.stop()
        self._socket.close()
        self._offer.close()
        self.ahead.close()
        if self._sentinel is not None:
            os.close(self._sentinel)
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    # -- inside ----------------------------------------------------------------------------------

    def _await_start(self) -> Ending | None:
        started = self._await(_START_LIMIT_S)
        if isinstance(started, Ready):
            self._memory_at_start = started.memory
            return None
        self._drain()
        return Lost(self._obituary("the executor did not start"))

    def _await(
        self,
        limit_s: float | None,
        chunk: Chunk | None = None,
        on_slow: Callable[[], None] | None = None,
    ) -> Answer | TimedOut | Failed | None:
        """What comes first: an answer, the end of the time or of the memory, or death (`None`)."""
        start = time.monotonic()
        while True:
            if (answer := self._inbox.take(answer_decoder)) is not None:
                return answer
            spent = time.monotonic() - start
            if limit_s is not None and spent >= limit_s:
                self.stop()
                return timed_out(limit_s)
            if chunk is not None and spent >= LATE_S:
                self._hand_over(chunk)
                chunk = None
            if on_slow is not None and spent >= SLOW_S:
                self._take_back()
                on_slow()
                on_slow = None
            looks = (
                limit_s,
                None if chunk is None else LATE_S,
                None if on_slow is None else SLOW_S,
            )
            next_look_s = min((look for look in looks if look is not None), default=None)
            if not self._wait(None if next_look_s is None else next_look_s - spent):
                self.stop()
                return None
            if self._memory_watch is not None and self._memory_watch.is_exceeded():
                self.stop()
                return _too_much_memory(self._memory_limit or 0)

    def _wait(self, left_s: float | None) -> bool:
        """Until something happens, at most ``left_s``; ``False`` when the executor is dead."""
        if self._memory_limit is not None:
            if self._memory_watch is None:
                self._memory_watch = MemoryWatch(self.pid, self._memory_limit)
            left_s = WATCH_INTERVAL_S if left_s is None else min(left_s, WATCH_INTERVAL_S)
        # The system takes an int of milliseconds, which ends after 24 days: look again each day.
        wait_ms = None if left_s is None else min(left_s, _LONGEST_POLL_S) * 1000
        events = dict(self._poll.poll(wait_ms))
        self._read_printed(events)
        ours = self._socket.fileno()
        if events.get(ours, 0) & select.POLLOUT:
            self._send()
        if events.get(ours, 0) & _READABLE:
            return self._inbox.pump()  # an answer before death counts
        return self._sentinel not in events

    def _read_printed(self, events: Mapping[int, int]) -> None:
        """Read what is printed, unless the next run has begun: then it is of that one."""
        if self._out.fd not in events and self._err.fd not in events:
            return
        self._take_back()
        if self.ahead.count:
            return  # the answer of this one is there
        self.has_printed = True
        for stream in (self._out, self._err):
            if stream.fd in events:
                self._read(stream)

    def _send(self) -> None:
        try:
            while self._unsent:
                self._unsent = self._unsent[self._socket.send(self._unsent) :]
            self._unsent = _NOTHING  # a part, even an empty one, keeps all of it
        except BlockingIOError:
            self._poll.modify(self._socket, _READABLE | select.POLLOUT)
            self._is_blocked = True
            return
        except ConnectionError:  # dead: the wait that follows finds out
            self._unsent = _NOTHING
        if self._is_blocked:
            self._is_blocked = False
            self._poll.modify(self._socket, _READABLE)

    def _read(self, stream: OutputStream) -> None:
        if stream.is_open and not stream.drain(self._task_id):
            # User code closed it: it would be ready for ever.
            self._poll.unregister(stream.fd)

    def _drain_ready(self) -> None:
        ready = {fd for fd, _ in self._poll.poll(0)}
        for stream in (self._out, self._err):
            if stream.fd in ready:
                self._read(stream)

    def _drain(self) -> None:
        for stream in (self._out, self._err):
            self._read(stream)

    def _finish_lines(self) -> None:
        for stream in (self._out, self._err):
            stream.finish(self._task_id)

    def stop(self) -> None:
        """Kill it and wait for it; learn how much memory it had."""
        with self._lock:
            if self._process.returncode is None:
                _kill_group(self.pid)
                self._reap()

    def _reap(self) -> None:
        try:
            _, status, usage = os.wait4(self.pid, 0)
        except ChildProcessError:  # somebody else in this process waits for all children
            self._process.returncode = 0
            return
        self._process.returncode = os.waitstatus_to_exitcode(status)
        self._peak_memory = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)

    def _obituary(self, what: str = "the executor died while it ran the task") -> str:
        text = f"{what}: {_cause(self._process.returncode)}{self._memory()}"
        for stream, name in ((self._out, "stdout"), (self._err, "stderr")):
            if lines := stream.last_lines():
                text += f"\nlast lines of {name}:\n{lines}"
        return Failure.of(WorkerLostError(text)).to_text()

    def _memory(self) -> str:
        if self._memory_at_start is None or self._peak_memory <= self._memory_at_start:
            return ""
        return f", peak memory {in_mib(self._peak_memory)}"


def _spawn(
    fds: tuple[int, ...], packages: str, memory_limit: int | None
) -> subprocess.Popen[bytes]:
    arguments = [*map(str, fds), str(memory_limit or 0), packages, str(os.getpid())]
    return subprocess.Popen(
        [sys.executable, "-m", "pymonik.executor", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        pass_fds=fds,
        start_new_session=True,  # Ctrl-C in the terminal is for the program, not for executors
    )


def _sentinel(pid: int) -> int | None:
    """What becomes readable when the process ends; elsewhere its socket has to do."""
    if sys.platform == "linux" and hasattr(os, "pidfd_open"):
        return os.pidfd_open(pid)
    return None


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    except PermissionError:  # macOS: the group has ended and was not waited for
        return


def _cause(returncode: int | None) -> str:
    if returncode is None or returncode >= 0:
        return f"exit code {returncode}"
    try:
        name = signal.Signals(-returncode).name
    except ValueError:
        name = f"signal {-returncode}"
    return f"{name} (killed, by the system when memory is short)" if name == "SIGKILL" else name


def timed_out(limit_s: float | None) -> TimedOut:
    """A run took longer than it may."""
    error = TaskTimeoutError(f"the task ran longer than its max_duration of {limit_s:g} s")
    return TimedOut(Failure.of(error).to_text())


def _too_much_memory(limit: int) -> Failed:
    error = WorkerLostError(f"the task used more memory than its executor may: {in_mib(limit)}")
    return Failed(Failure.of(error).to_text())
