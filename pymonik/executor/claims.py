"""Who runs which call of a chunk, and which have ended: kernel objects shared with an executor.

::

    parent                      pipe: a byte for each call                      executor
    offer(n) ──────────────────►  · · · · · · · · · · ·  ──── reads one ──► owns the next call
    take_back() ◄── reads the rest: these calls are the parent's
    finished()  ◄─────────────── journal (a file without a name) ◄───────── what each call gave

Whoever reads a byte owns a call. So nobody has to answer while user code runs, and both pipe and
journal are still there when the executor is not.
"""

from __future__ import annotations

import logging
import os
import struct
from collections.abc import Sequence  # noqa: TC003 - of a NamedTuple
from typing import NamedTuple

import msgspec

from pymonik.core.call import MOST_CALLS, ItemMeta
from pymonik.core.codec import Buffer  # noqa: TC001 - of a NamedTuple
from pymonik.executor import files

_log = logging.getLogger(__name__)

_RECORD = struct.Struct("<II")  # size of the head, size of its blobs
_encode = msgspec.msgpack.Encoder().encode


class _Head(msgspec.Struct, frozen=True, array_like=True):
    item: ItemMeta
    sizes: tuple[int, ...]
    is_all: bool


_decoder = msgspec.msgpack.Decoder(_Head)


class Finished(NamedTuple):
    """What the journal says of a call.

    Attributes:
        item: As it stands in the result.
        blobs: Its value.
        is_all: Whether that is all it gave: what it submitted is not in the journal.
    """

    item: ItemMeta
    blobs: Sequence[Buffer]
    is_all: bool = True


class Offer:
    """The parent's side."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        import tempfile  # not for executors: they start without it

        self._journal = tempfile.TemporaryFile(prefix="pymonik-journal-", buffering=0)  # noqa: SIM115

    @property
    def fds(self) -> tuple[int, int]:
        """What the executor needs: the pipe's end to read from, and the journal."""
        return self._reader, self._journal.fileno()

    def offer(self, calls: int) -> None:
        """Offer that many calls, and empty the journal."""
        self.take_back()
        self._journal.seek(0)
        self._journal.truncate()
        os.write(self._writer, bytes(calls))

    def take_back(self) -> int:
        """Take the calls that nobody has begun: how many."""
        try:
            return len(os.read(self._reader, MOST_CALLS))
        except BlockingIOError:
            return 0

    def give_back(self, calls: int) -> None:
        """Offer again what was taken back."""
        os.write(self._writer, bytes(calls))

    def finished(self) -> list[Finished]:
        """What the calls gave that have ended, in their order."""
        self._journal.seek(0)
        data = memoryview(self._journal.read())
        found: list[Finished] = []
        position = 0
        while position + _RECORD.size <= len(data):
            head_size, nbytes = _RECORD.unpack_from(data, position)
            start = position + _RECORD.size
            position = start + head_size + nbytes
            if position > len(data):
                break  # it died while it wrote
            head = _decoder.decode(data[start : start + head_size])
            blobs = _cut(data[start + head_size : position], head.sizes)
            found.append(Finished(head.item, blobs, head.is_all))
        return found

    def close(self) -> None:
        """Free what belongs to it."""
        os.close(self._reader)
        os.close(self._writer)
        self._journal.close()


def _cut(data: memoryview, sizes: Sequence[int]) -> list[bytes]:
    blobs = []
    for size in sizes:
        blobs.append(bytes(data[:size]))
        data = data[size:]
    return blobs


class Claims:
    """The executor's side.

    Args:
        reader: The pipe's end to read from.
        journal: The file.
    """

    def __init__(self, reader: int, journal: int) -> None:
        self._reader = reader
        self._journal = journal
        self._is_full = False

    def claim(self) -> bool:
        """Whether the next call is ours."""
        try:
            return bool(os.read(self._reader, 1))
        except BlockingIOError:
            return False

    def begin(self) -> None:
        """A chunk begins."""
        self._is_full = False

    def note(self, item: ItemMeta, blobs: Sequence[Buffer], *, is_all: bool = True) -> None:
        """The call that was claimed last has ended."""
        if self._is_full:
            return
        sizes = tuple(memoryview(blob).nbytes for blob in blobs)
        head = _encode(_Head(item, sizes, is_all))
        try:
            files.write(self._journal, [_RECORD.pack(len(head), sum(sizes)), head, *blobs])
        except OSError as error:  # calls that are not in it run again, should we die
            _log.warning("the journal of a task cannot be written: %s", error)
            self._is_full = True
