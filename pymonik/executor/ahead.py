"""Runs that an executor gets before it needs them: when one has ended, it goes on at once.

::

    parent                       datagrams: one for each run                 executor
    send(run) ─────────────────►   B · C · D   ──────── reads one ──► runs it
    take_back() ◄── reads the rest: these runs are the parent's

Whoever reads a run owns it. Whose output is it? An executor takes a run from here only when
everything printed before was read; its parent reads output only when nothing is left in here.
"""

from __future__ import annotations

import array
import contextlib
import os
import socket
from typing import TYPE_CHECKING

import msgspec

from pymonik.executor.frames import Run

if TYPE_CHECKING:
    from collections.abc import Sequence

DEPTH = 4  # runs
SLOW_S = 0.02  # a run that takes longer has nothing waiting behind it
_MOST_BYTES = 1 << 15  # of a run

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Run).decode


class Ahead:
    """The parent's side.

    Attributes:
        count: How many runs were sent behind the present one and not taken back.
    """

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._ours.setblocking(False)  # noqa: FBT003 - positional only
        self._theirs.setblocking(False)  # noqa: FBT003 - positional only
        self.count = 0

    @property
    def fd(self) -> int:
        """What the executor reads from."""
        return self._theirs.fileno()

    def send(self, run: Run) -> bool:
        """Have the executor run this when it has done what it has; ``False`` if it is too large."""
        frame = _encode(run)
        if len(frame) > _MOST_BYTES:
            return False
        try:
            self._ours.send(frame)
        except OSError:  # no room, or larger than this system allows
            return False
        self.count += 1
        return True

    def take_back(self) -> int:
        """Take the runs that nobody has begun, the last ones: how many.

        It is one more than `count` if the present run was among them.
        """
        taken = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                self._theirs.recv(1)
                taken += 1
        self.count = max(0, self.count - taken)
        return taken

    def close(self) -> None:
        """Free what belongs to it."""
        self._ours.close()
        self._theirs.close()


class Behind:
    """The executor's side.

    Args:
        reader: What to read from.
        outputs: The pipes that calls print to.
    """

    def __init__(self, reader: int, outputs: Sequence[int]) -> None:
        self.fd = reader
        self._outputs = [os.dup(fd) for fd in outputs]  # user code may close or redirect its own

    def claim(self) -> Run | None:
        """The next run that is ours."""
        try:
            return _decode(os.read(self.fd, _MOST_BYTES))
        except BlockingIOError:
            return None

    def may_claim(self) -> bool:
        """Whether everything that was printed is read."""
        return not any(_unread(fd) for fd in self._outputs)


def _unread(fd: int) -> int:
    import fcntl
    import termios

    count = array.array("i", [0])
    try:
        fcntl.ioctl(fd, termios.FIONREAD, count)
    except OSError:  # no pipe: nobody reads it
        return 0
    return count[0]
