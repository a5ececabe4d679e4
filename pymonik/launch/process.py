"""A process with its supervisor, as the owner sees it: start, ask to end, learn how it did."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING

from pymonik.launch import orphans, python
from pymonik.launch.death import Death, OomKills

if TYPE_CHECKING:
    import signal
    from collections.abc import Sequence

    from pymonik.launch.python import Plan

_KILL_S = 8.0  # seconds; longer than a supervisor waits for killed processes, which is 5


class Supervised:
    """A process and all that it starts; any thread may `ask`, `kill` and `wait`.

    Its supervisor dies with the thread that starts it on no system: it notices the end of this
    process by the socket that both share.

    Args:
        plan: What it is to become.
        fds: Open files that it inherits, under the same numbers.
        stdout: As for `subprocess.Popen`.
        stderr: As for `subprocess.Popen`.
        variables: Added to its environment.

    Raises:
        OSError: The system refuses to start it.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        fds: Sequence[int] = (),
        stdout: int | IO[bytes] | None = None,
        stderr: int | IO[bytes] | None = None,
        variables: dict[str, str] | None = None,
    ) -> None:
        self._lock = threading.Lock()  # guards what is read from the socket
        self._unread = b""
        self._oom_kills = OomKills()
        self.pid: int | None = None
        self.death: Death | None = None
        with ExitStack() as opened:
            ours, theirs = socket.socketpair()
            opened.callback(ours.close)
            with theirs:
                self._popen = orphans.start(
                    plan.command(theirs.fileno()),
                    env={**python.variables(), **(variables or {})},
                    pass_fds=(*fds, theirs.fileno()),
                    stdout=stdout,
                    stderr=stderr,
                )
            # The socket stays open from here on; an error before closes it.
            opened.pop_all()
        ours.setblocking(False)  # noqa: FBT003 - positional only
        self._control = ours
        self.stdout, self.stderr = self._popen.stdout, self._popen.stderr

    def fileno(self) -> int:
        """Readable when there is something for `pump`."""
        return self._control.fileno()

    @property
    def supervisor(self) -> int:
        """The id of the supervisor's process: the root of the tree."""
        return self._popen.pid

    def pump(self) -> bool:
        """Read what the supervisor says; ``False`` when the process and its tree have ended."""
        with self._lock:
            # Any thread may call this: each takes what is there, and the first that learns of the
            # end tells all others by `death`.
            while self.death is None:
                try:
                    said = self._control.recv(4096)
                except BlockingIOError:
                    break
                except OSError:
                    said = b""
                if not said:
                    self._bury_lost()
                    break
                *lines, self._unread = (self._unread + said).split(b"\n")
                for line in lines:
                    self._learn(line.decode(errors="replace"))
            return self.death is None

    def ask(self, number: signal.Signals | None, grace_s: float) -> None:
        """Send a signal, if any, to its group; its tree is killed after the grace."""
        self._say(f"ask {int(number or 0)} {grace_s}")

    def kill(self) -> None:
        """Kill the process and its tree."""
        self._say("kill")

    def wait(self, timeout_s: float | None = None) -> Death | None:
        """How it ended; ``None`` if it has not after the time."""
        end = None if timeout_s is None else time.monotonic() + timeout_s
        poll = select.poll()
        with contextlib.suppress(ValueError):  # closed meanwhile
            poll.register(self._control, select.POLLIN)
        while self.pump():
            left_s = None if end is None else end - time.monotonic()
            if left_s is not None and left_s <= 0:
                return None
            poll.poll(None if left_s is None else left_s * 1000)
        return self.death

    def end(self) -> Death:
        """Kill it, and wait until it is gone."""
        self.kill()
        death = self.wait(_KILL_S)
        if death is None:  # the supervisor is stopped, or the kernel is stuck with the process
            self._popen.kill()
            with self._lock:
                self._bury_lost()
            death = self.death
        if death is None:
            raise RuntimeError("a process that was killed has no death")
        return death

    def close(self) -> None:
        """End it, and free what belongs to it."""
        self.end()
        self._popen.wait()
        self._control.close()
        for pipe in (self.stdout, self.stderr):
            if pipe is not None:
                pipe.close()

    def _say(self, line: str) -> None:
        with contextlib.suppress(OSError):  # it has ended
            self._control.send(f"{line}\n".encode())

    def _learn(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        if word == "pid":
            self.pid = int(rest)
        elif word == "error":
            self.death = Death(error=rest)
        else:
            status, kib, limit_s = map(int, rest.split())
            is_oom = self._oom_kills.has_new(status)
            self.death = Death(status, kib * 1024, is_oom=is_oom, time_limit_s=limit_s)

    def _bury_lost(self) -> None:
        """The supervisor is gone without a word: the kernel killed the process with it."""
        if self.death is not None:
            return
        # It has ended or was killed, so this returns at once.
        status = self._popen.wait()
        orphans.end()
        is_oom = self._oom_kills.has_new(status)
        self.death = Death(status, is_oom=is_oom, is_of_supervisor=True)
