"""Tokens: a byte in a pipe for each thing to be done; whoever reads it is the one to do it.

So two processes agree without a word, whatever each of them is doing, and when one has died.
"""

from __future__ import annotations

import os

from pymonik.wire.call import MOST_CALLS


class Tokens:
    """The side that offers things, and may take back those that the other has not begun."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        # Of both sides, which share the open file: neither ever waits for a byte.
        os.set_blocking(self._reader, False)

    @property
    def fd(self) -> int:
        """Where the other side takes them; see `take`."""
        return self._reader

    def put(self, count: int) -> None:
        """Offer ``count`` more."""
        os.write(self._writer, bytes(count))

    def take_back(self) -> int:
        """Take what is left: the last ones. How many."""
        try:
            # One read takes all: a pipe never holds more bytes than a task may have calls.
            return len(os.read(self._reader, MOST_CALLS))
        except BlockingIOError:
            return 0

    def close(self) -> None:
        """Close the pipe."""
        os.close(self._reader)
        os.close(self._writer)


def take(fd: int) -> bool:
    """Own the next thing, unless there is none."""
    try:
        return bool(os.read(fd, 1))
    except BlockingIOError:
        return False
