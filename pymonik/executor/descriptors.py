"""Which open file a descriptor stands for: asked after each task, in a fourth of a microsecond.

Linux keeps a number with each open file that nothing here reads or needs: the signal to send when
the file can be read, for programs that ask for one (``F_SETSIG`` of fcntl(2)). So each file is
marked with a number of its own. A descriptor that was closed, and opened anew, has 0 or another
one. `os.fstat` tells as much, in five times the time; it is asked where files cannot be marked.
"""

from __future__ import annotations

import fcntl
import os
import signal
from itertools import repeat
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_GET: Final[int | None] = getattr(fcntl, "F_GETSIG", None)
_SET: Final[int | None] = getattr(fcntl, "F_SETSIG", None)

Files = list[object]

_free = set(range(signal.SIGRTMIN, signal.SIGRTMAX + 1)) if _SET else set()  # marks


class Descriptors:
    """The files that descriptors stand for now.

    Args:
        fds: The descriptors; they are open.
    """

    def __init__(self, fds: Sequence[int]) -> None:
        self._fds = tuple(fds)
        self._get = _GET if _mark(self._fds) else None
        self._files = self._now()

    @property
    def are_same(self) -> bool:
        """Whether each is open, and stands for the file that it stood for."""
        try:
            return self._now() == self._files
        except OSError:  # one is closed
            return False

    def _now(self) -> Files:
        if self._get is not None:
            return list(map(fcntl.fcntl, self._fds, repeat(self._get)))
        # Device and inode; as a slice, since attributes of it take as long as the system's call.
        return [os.fstat(fd)[1:3] for fd in self._fds]


def _mark(fds: Sequence[int]) -> bool:
    """Mark the files; whether that was possible.

    Several descriptors may stand for one file, which then has one mark. A file that came from
    another executor may have one already.
    """
    if _GET is None or _SET is None:
        return False
    try:
        _free.difference_update([fcntl.fcntl(fd, _GET) for fd in fds])
        for fd in fds:
            if not fcntl.fcntl(fd, _GET):
                fcntl.fcntl(fd, _SET, _free.pop())
    except (OSError, KeyError):  # some systems that look like Linux do not have it
        return False
    return True
