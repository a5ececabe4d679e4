"""Runs that an executor gets before it needs them: when one has ended, it goes on at once.

::

    parent                   pipe: a byte for each run                        executor
    send(run) ──────────────►   · · ·   ──────── reads one ──► owns the next run, and reads it
    take_back() ◄── reads the rest: the last runs are the parent's
                             datagrams: the runs, B · C · D

See `tokens` for the pipe. Runs that were taken back lie there until nothing has been claimed: only
then can the parent remove them.
"""

from __future__ import annotations

import contextlib
import os
import socket
from itertools import takewhile
from typing import TYPE_CHECKING

import msgspec

from pymonik.executor.frames import Run
from pymonik.executor.tokens import Tokens, take

if TYPE_CHECKING:
    from collections.abc import Sequence

DEPTH = 6  # runs that are sent ahead at most, with the one that the executor begins at once
# Seconds after which a run counts as slow: the parent takes back what waits behind it, so that
# another executor runs it. Waiting costs those runs at most this.
SLOW_S = 0.02
# Bytes of an encoded run, which is one datagram: the reader's buffer is of this size, and what is
# larger would be cut by the kernel without an error.
_MOST_BYTES = 1 << 15

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Run).decode


class Ahead:
    """The parent's side.

    Attributes:
        count: How many runs were sent behind the present one and not taken back.
    """

    def __init__(self) -> None:
        # Datagrams keep the bounds of runs, so the executor reads exactly one for each byte of the
        # pipe.
        self._ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._ours.setblocking(False)  # noqa: FBT003 - positional only
        self._theirs.setblocking(False)  # noqa: FBT003 - positional only
        self._tokens = Tokens()
        # Runs that were taken back still lie in the socket, before any that would be sent now: a
        # reader would get those instead. So nothing is sent until `clear` has removed them.
        self._has_stale = False
        self.count = 0

    @property
    def fds(self) -> tuple[int, int]:
        """What the executor reads from: the pipe, and the runs."""
        return self._tokens.fd, self._theirs.fileno()

    def send(self, runs: Sequence[Run]) -> None:
        """Have the executor run these after what it has, up to the first that cannot be sent."""
        sent = sum(1 for _ in takewhile(self._send, runs))
        if sent:
            # The bytes follow the datagrams: whoever owns a byte finds its run in the socket
            # already.
            self._tokens.put(sent)
            self.count += sent

    def _send(self, run: Run) -> bool:
        if self._has_stale:
            return False
        frame = _encode(run)
        if len(frame) > _MOST_BYTES:
            return False
        try:
            self._ours.send(frame)
        except OSError:  # no room, or larger than this system allows
            return False
        return True

    def take_back(self) -> int:
        """Take the runs that nobody has begun, the last ones: how many.

        It is one more than `count` if the present run was among them.
        """
        taken = self._tokens.take_back()
        self._has_stale = self._has_stale or taken > 0
        # `count` leaves the present run out, whose byte may be among those that were read.
        self.count = max(0, self.count - taken)
        return taken

    def clear(self) -> None:
        """Remove what was taken back: all runs that were claimed have ended."""
        with contextlib.suppress(BlockingIOError):
            while self._has_stale:
                self._theirs.recv(1)
        self._has_stale = False

    def close(self) -> None:
        """Free what belongs to it."""
        self._ours.close()
        self._theirs.close()
        self._tokens.close()


class Behind:
    """The executor's side.

    Args:
        fds: Those of `Ahead`.

    Attributes:
        fd: Readable when there is a run to claim.
    """

    def __init__(self, fds: tuple[int, int]) -> None:
        self.fd, self._runs = fds

    def claim(self) -> Run | None:
        """The next run, if it is ours."""
        if not take(self.fd):
            return None
        return _decode(os.read(self._runs, _MOST_BYTES))
