"""Claims: which executor runs which call of a chunk, and which have ended, in kernel objects.

::

    parent                      pipe: a byte for each call                      executor
    offer(n) ──────────────────►  · · · · · · · · · · ·  ──── reads one ──► owns the next call
    take_back() ◄── reads the rest: these calls are the parent's
    finished()  ◄─────────────── journal (a file without a name) ◄───────── what each call gave

See `tokens` for the pipe. Both pipe and journal are still there when the executor is not.

The journal is records, one after the other. The executor has its first part in memory, where a
record costs no call of the system: the first byte is stored last, and until then tells that there
is none. From the first record on that has no room there, the others follow in the file.
"""

from __future__ import annotations

import logging
import mmap
import os
import struct
from collections.abc import Iterator, Sequence  # noqa: TC003 - of a NamedTuple
from itertools import accumulate, pairwise
from typing import NamedTuple

from pymonik.content import objects
from pymonik.executor.nameless import nameless_file
from pymonik.executor.tokens import Tokens
from pymonik.wire.call import ONE_BLOB, ItemMeta
from pymonik.wire.containers import Buffer  # noqa: TC001 - of a NamedTuple

_log = logging.getLogger(__name__)

_RECORD = struct.Struct("<BIQ")  # how the call ended, number of blobs, bytes that follow
# A record of a call of one blob, as nearly all are: the size of the blob, which is the first thing
# that follows, is packed in the same step.
_RECORD_OF_ONE = struct.Struct("<BIQQ")
_AFTER_ENDING = struct.Struct("<IQQ")  # what follows the first byte of such a record
_SIZE_BYTES = 8
# The first byte of a record. `_NONE` must be 0, which is what a new file holds: it says that no
# record has been completed at this place.
_NONE, _VALUE, _FAILED, _NOT_ALL = range(4)
_FORM_SHIFT, _ENDINGS = 4, 0xF  # upper half of that byte: the form of the value; lower: the ending
_NOTHING = bytes([_NONE])
_MAPPED_BYTES = 1024 * 1024  # the first part of the journal, which the executor has in its memory
# Bytes of a journal, which lies in memory beside the results themselves. Calls past it are not
# noted, and run again should the executor die.
_MOST_BYTES = 256 * 1024 * 1024


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
        self._journal = nameless_file("journal", _MAPPED_BYTES)
        self._tokens = Tokens()

    @property
    def fds(self) -> tuple[int, int]:
        """What the executor needs: the pipe's end to read from, and the journal."""
        return self._tokens.fd, self._journal.fileno()

    def offer(self, calls: int) -> None:
        """Offer that many calls, and empty the journal."""
        self.take_back()
        self.clear()
        self._tokens.put(calls)

    def clear(self) -> None:
        """Empty the journal: what was in it takes no memory any more."""
        # The byte at 0 makes the first mapped record invalid, and with it all that follow it.
        os.pwrite(self._journal.fileno(), _NOTHING, 0)
        # Cut after the mapped part, never within it: access to a page past the end of a file is
        # SIGBUS. The position is shared with the executor's descriptor, which appends there.
        self._journal.seek(_MAPPED_BYTES)
        self._journal.truncate()

    def take_back(self) -> int:
        """Take the calls that nobody has begun: how many."""
        return self._tokens.take_back()

    def give_back(self, calls: int) -> None:
        """Offer again what was taken back."""
        self._tokens.put(calls)

    def count_finished(self) -> int:
        """How many calls have ended."""
        return sum(1 for _ in self._records())

    def finished(self) -> list[Finished]:
        """What the calls gave that have ended, in their order."""
        found: list[Finished] = []
        for start, ending, count, nbytes in self._records():
            form, ending = ending >> _FORM_SHIFT, ending & _ENDINGS
            item = ItemMeta(count, failed=ending == _FAILED, form=form)
            blobs = _cut(self._read(start, nbytes), count)
            found.append(Finished(item, blobs, is_all=ending != _NOT_ALL))
        return found

    def _records(self) -> Iterator[tuple[int, int, int, int]]:
        """The records of the journal: where the content of each begins, and its head."""
        end = os.fstat(self._journal.fileno()).st_size
        position = 0
        while position + _RECORD.size <= end:
            ending, count, nbytes = _RECORD.unpack(self._read(position, _RECORD.size))
            # The mapped part ends here: the next record, if any, is the first one after it in the
            # file.
            if ending == _NONE and position < _MAPPED_BYTES:
                position = _MAPPED_BYTES
                continue
            start = position + _RECORD.size
            position = start + nbytes
            if position > end:
                return  # the executor died while it wrote the record
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
        self._tokens.close()
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
        self._mapped = mmap.mmap(journal, _MAPPED_BYTES)
        self.begin()
        self._is_ours = True
        # A child of user code has the mapping too, and would write results of calls that it does
        # not own.
        os.register_at_fork(after_in_child=self._disown)

    def _disown(self) -> None:
        self._is_ours = False

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
        self._end = 0  # of the records in the mapping

    def note(self, item: ItemMeta, blobs: Sequence[Buffer], *, is_all: bool = True) -> None:
        """The call that was claimed last has ended."""
        if not self._is_ours:
            os._exit(0)  # a fork that user code made came back: the calls are not its own
        # The journal has no room for where files and outputs are: such a call runs again, should
        # we die.
        is_all = is_all and not (item.files or item.outputs)
        ending = _NOT_ALL if not is_all else _FAILED if item.failed else _VALUE
        ending |= item.form << _FORM_SHIFT
        head, nbytes = _head(ending, blobs)
        self._nbytes += nbytes
        self._is_full = self._is_full or self._nbytes > _MOST_BYTES
        if self._is_full:  # calls that are not in it run again, should we die
            return
        try:
            self._append(head, blobs, _RECORD.size + nbytes)
        except OSError as error:
            _log.warning("the journal of a task cannot be written: %s", error)
            self._is_full = True

    def note_value(self, blob: bytes) -> None:
        """`note` for a value of one blob, which is what most calls of a chunk give."""
        start, size = self._end, len(blob)
        end = start + _RECORD_OF_ONE.size + size
        if end >= _MAPPED_BYTES or self._is_full or not self._is_ours:
            self.note(ONE_BLOB, (blob,))
            return
        self._nbytes += size
        mapped = self._mapped
        _AFTER_ENDING.pack_into(mapped, start + 1, 1, _SIZE_BYTES + size, size)
        mapped[end - size : end + 1] = blob + _NOTHING
        mapped[start] = _VALUE  # last: the parent may read at any moment
        self._end = end

    def _append(self, head: bytes, blobs: Sequence[Buffer], nbytes: int) -> None:
        start, end = self._end, self._end + nbytes
        if end >= _MAPPED_BYTES:
            self._end = _MAPPED_BYTES  # none that follows may come before it
            objects.write(self._journal, [head, *blobs])
            return
        rest = b"".join((head[1:], *blobs, _NOTHING))
        # The rest, with the zero byte behind it, is stored before the first byte makes the record
        # valid: a parent that reads at any moment, or after a crash, finds whole records only.
        self._mapped[start + 1 : end + 1] = rest
        self._mapped[start] = head[0]
        self._end = end


def _head(ending: int, blobs: Sequence[Buffer]) -> tuple[bytes, int]:
    """The start of a record, and the number of bytes that follow the fixed part of it."""
    if len(blobs) == 1:
        size = memoryview(blobs[0]).nbytes
        return _RECORD_OF_ONE.pack(ending, 1, 8 + size, size), 8 + size
    sizes = [memoryview(blob).nbytes for blob in blobs]
    nbytes = 8 * len(sizes) + sum(sizes)
    return _RECORD.pack(ending, len(sizes), nbytes) + struct.pack(f"<{len(sizes)}Q", *sizes), nbytes
