"""The request that a run ends: a page of memory that an executor shares with its parent.

::

    parent                                        executor
    asked = 7   ── then ──► is 7 running?         running = 7 ── then ──► was 7 asked to end?
                            yes: SIGINT           ...
                            no: it has ended      running = 0 ── then ──► was 7 asked to end?
                                                                          yes: exit

Each side writes before it reads, so at least one of them sees the other. An executor begins nothing
after the run that was asked to end. So the signal, which is for the group of processes of that run,
never meets the next one, however late it comes.
"""

from __future__ import annotations

from typing import IO

from pymonik.executor.nameless import SharedNumbers, nameless_file

# Places of 8 bytes: the run that was asked to end, the run under way (0: none), 1 from a drain on.
_ASKED, _RUNNING, _DRAINING = 0, 1, 2
_BYTES = 24  # of these three


class StopRequest(SharedNumbers):
    """One side of the page. Runs are numbered from 1, in the order in which they begin.

    Args:
        fd: The page, as a file; it may be closed after that.
    """

    def __init__(self, fd: int) -> None:
        super().__init__(fd, _BYTES)

    # The parent's side.

    def ask(self, number: int) -> bool:
        """Ask a run to end; whether it runs, so that a signal is to be sent."""
        self._places[_ASKED] = number
        return self._places[_RUNNING] == number

    def drain(self) -> None:
        """Tell the running call, and all that follow, that the executor is going to end."""
        self._places[_DRAINING] = 1

    # The executor's side.

    def begin(self, number: int) -> None:
        """A run begins; see `was_asked`."""
        self._places[_RUNNING] = number

    def end(self) -> None:
        """No run is under way; see `was_asked`."""
        self._places[_RUNNING] = 0

    def was_asked(self, number: int) -> bool:
        """Whether a run was asked to end."""
        return self._places[_ASKED] == number

    @property
    def running(self) -> int:
        """The number of the run that is under way; 0 between two."""
        return self._places[_RUNNING]

    def is_stopping(self) -> bool:
        """Whether the running call is to come to its end, soon or at once."""
        return self._places[_DRAINING] != 0 or self._places[_ASKED] == self.running != 0


def page() -> IO[bytes]:
    """A new page, as a file without a name."""
    return nameless_file("stop", _BYTES)
