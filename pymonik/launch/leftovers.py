"""What a program that was started here leaves behind: ended with it, however it tried to get away.

While `Leftovers` is entered, this process adopts the orphans of what it starts, so that a daemon in
a session of its own is among its children too. Outside, orphans go to the supervisor: what a task
waits for with `os.wait` are its own children.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING, Final

from pymonik.launch import supervisor

if TYPE_CHECKING:
    from types import TracebackType

# Seconds for killed processes to be gone: the kernel may be busy with one of them.
_END_S: Final = 5.0
_LOOK_S: Final = 0.002  # seconds between two looks at what is left


class Leftovers:
    """Adopts what is started meanwhile, and ends what is left of it."""

    def __enter__(self) -> Leftovers:
        # Children that the task had before the command are its own, and stay.
        self._before = supervisor.below(os.getpid())
        supervisor.become_subreaper()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.end()
        finally:
            supervisor.cease_as_subreaper()

    def end(self) -> None:
        """Kill all that was started and still runs, and reap it."""
        deadline = time.monotonic() + _END_S
        while (left := self._left()) and time.monotonic() < deadline:
            for pid in left:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            for pid in left:
                with contextlib.suppress(ChildProcessError):  # of another one, which is killed too
                    os.waitpid(pid, os.WNOHANG)
            # The kernel tells of the end of children only: what they have started becomes one
            # of ours first, a moment later.
            time.sleep(_LOOK_S)

    def _left(self) -> set[int]:
        return supervisor.below(os.getpid()) - self._before
