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
from collections.abc import Iterator, Sequence  # noqa: TC003 - of a NamedTuple
from itertools import accumulate, pairwise
from typing import NamedTuple

from pymonik.core import objects
from pymonik.core.call import MOST_CALLS, ItemMeta
from pymonik.core.codec import Buffer  # noqa: TC001 - of a NamedTuple

_log = logging.getLogger(__name__)

_RECORD = struct.Struct("<BIQ")  # how the call ended, number of blobs, bytes that follow
_VALUE, _FAILED, _NOT_ALL = range(3)
_MOST_BYTES = 256 * 1024 * 1024  # of a journal: it is no second storage for large values
_SMALL = 4096  # bytes; written at once


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
        import tempfile  # not for executors: they start without it

        self._journal = tempfile.TemporaryFile(prefix="pymonik-journal-", buffering=0)  # noqa: SIM115
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)

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

    def count_finished(self) -> int:
        """How many calls have ended."""
        return sum(1 for _ in self._records())

    def finished(self) -> list[Finished]:
        """What the calls gave that have ended, in their order."""
        found: list[Finished] = []
        for start, ending, count, nbytes in self._records():
            item = ItemMeta(count, failed=ending == _FAILED)
            blobs = _cut(self._read(start, nbytes), count)
            found.append(Finished(item, blobs, is_all=ending != _NOT_ALL))
        return found

    def _records(self) -> Iterator[tuple[int, int, int, int]]:
        """Of each record: where what follows begins, and what it starts with."""
        end = os.fstat(self._journal.fileno()).st_size
        position = 0
        while position + _RECORD.size <= end:
            ending, count, nbytes = _RECORD.unpack(self._read(position, _RECORD.size))
            start = position + _RECORD.size
            position = start + nbytes
            if position > end:
                return  # it died while it wrote
            yield start, ending, count, nbytes

    def _read(self, start: int, nbytes: int) -> bytes:
        # The position of the file is the executor's, which may be writing.
        parts = []
        while nbytes:
            part = os.pread(self._journal.fileno(), nbytes, start)
            if not part:
                raise EOFError("a journal was cut while it was read")
            parts.append(part)
            start += len(part)
            nbytes -= len(part)
        return b"".join(parts)

    def close(self) -> None:
        """Free what belongs to it."""
        os.close(self._reader)
        os.close(self._writer)
        self._journal.close()


def _cut(record: bytes, count: int) -> list[bytes]:
    ends = accumulate(struct.unpack_from(f"<{count}Q", record), initial=8 * count)
    return [record[start:end] for start, end in pairwise(ends)]


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
        self._nbytes = 0
        self._owner = os.getpid()

    def claim(self) -> bool:
        """Whether the next call is ours."""
        try:
            return bool(os.read(self._reader, 1))
        except BlockingIOError:
            return False

    def begin(self) -> None:
        """A chunk begins."""
        self._is_full = False
        self._nbytes = 0

    def note(self, item: ItemMeta, blobs: Sequence[Buffer], *, is_all: bool = True) -> None:
        """The call that was claimed last has ended."""
        if os.getpid() != self._owner:
            os._exit(0)  # a fork that user code made came back: the calls are not its own
        sizes = [memoryview(blob).nbytes for blob in blobs]
        nbytes = 8 * len(sizes) + sum(sizes)
        self._nbytes += nbytes
        self._is_full = self._is_full or self._nbytes > _MOST_BYTES
        if self._is_full:  # calls that are not in it run again, should we die
            return
        ending = _NOT_ALL if not is_all else _FAILED if item.failed else _VALUE
        head = _RECORD.pack(ending, len(sizes), nbytes) + struct.pack(f"<{len(sizes)}Q", *sizes)
        try:
            self._append([b"".join((head, *blobs))] if nbytes < _SMALL else [head, *blobs])
        except OSError as error:
            _log.warning("the journal of a task cannot be written: %s", error)
            self._is_full = True

    def _append(self, segments: list[Buffer]) -> None:
        first = segments[0]
        written = os.write(self._journal, first)
        if written < len(first) or len(segments) > 1:
            objects.write(self._journal, [first[written:], *segments[1:]])
