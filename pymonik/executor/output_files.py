"""The files that calls print to: standard output and standard error of an executor.

Files and no pipes: nobody has to read while a call prints, what was printed stays when the process
is gone, and both sides can tell at any moment how much there is. They are opened for appending, so
that C code, threads and child processes write one after the other.

What opens ``/dev/stdout`` anew to overwrite it, as ``tee /dev/stderr`` does, empties the file, as
it would any file that a shell redirects to: then positions start again.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import mmap
import os
from typing import IO, TYPE_CHECKING, Final

from pymonik.executor.nameless import nameless_file

if TYPE_CHECKING:
    from pymonik.wire.streams import Piece

OUT, ERR = 0, 1  # which stream
NAMES: Final = ("stdout", "stderr")
KEPT: Final = 64 * 1024  # bytes of a call that are kept: the last ones
# Bytes before the reader's position that `release` leaves: the executor may still read `KEPT` of
# them for the result of its call.
_LEFT: Final = 1 << 20
_STEP: Final = 4 << 20  # bytes that are released together, so that few calls print enough for one
# Flags of fallocate(2). KEEP_SIZE is required with PUNCH_HOLE, and positions in the file stay
# valid.
_PUNCH_HOLE, _KEEP_SIZE = 2, 1

Span = tuple[int, int, int]  # the stream, and where its bytes begin and end
Ends = tuple[int, int]  # of both streams


def ends(fds: tuple[int, int]) -> Ends:
    """How much was printed, in bytes. Calls it after each call: it takes a third of an fstat."""
    return os.lseek(fds[0], 0, os.SEEK_END), os.lseek(fds[1], 0, os.SEEK_END)


def spans(points: list[Ends]) -> list[Span]:
    """What lies between points, in order; a file that was emptied meanwhile begins at 0."""
    found: list[Span] = []
    for i in range(1, len(points)):
        for stream in (OUT, ERR):
            start, end = points[i - 1][stream], points[i][stream]
            if end != start:
                found.append((stream, start if start < end else 0, end))
    return found


def last(found: list[Span], most: int) -> list[Span]:
    """The last bytes of what these have."""
    kept: list[Span] = []
    for stream, start, end in reversed(found):
        first = max(start, end - most)
        most -= end - first
        if end > first:
            kept.append((stream, first, end))
    return kept[::-1]


def read(fds: tuple[int, int], span: Span) -> bytes:
    """The bytes of a span, as far as they are there."""
    stream, position, end = span
    parts = []
    while position < end and (part := os.pread(fds[stream], end - position, position)):
        parts.append(part)
        position += len(part)
    return b"".join(parts)


def pieces(fds: tuple[int, int], found: list[Span], most: int = KEPT) -> list[Piece]:
    """The last bytes of spans, each with its stream."""
    return [(span[0], read(fds, span)) for span in last(found, most)]


class OutputFiles:
    """The files, as whoever makes them has them."""

    def __init__(self) -> None:
        self._files: list[IO[bytes]] = []
        try:
            for name in NAMES:
                file = nameless_file(name, 0)
                self._files.append(file)
                # memfd_create(2) takes no O_APPEND, so the flag is set afterwards, on the open
                # file, which all descriptors of it share.
                flags = fcntl.fcntl(file, fcntl.F_GETFL)
                fcntl.fcntl(file, fcntl.F_SETFL, flags | os.O_APPEND)
        except BaseException:
            self.close()
            raise
        self._released = [0, 0]

    @property
    def fds(self) -> tuple[int, int]:
        """The descriptors of the two files."""
        return self._files[OUT].fileno(), self._files[ERR].fileno()

    def release(self, consumed: Ends) -> None:
        """Give back the memory of what was read; an executor that floods would take all of it."""
        for stream, end in enumerate(consumed):
            start = self._released[stream]
            stop = (end - _LEFT) // mmap.PAGESIZE * mmap.PAGESIZE
            if stop - start >= _STEP:
                _punch(self.fds[stream], start, stop - start)
                self._released[stream] = stop

    def empty(self) -> None:
        """Begin again at 0: limits of the size of files hold for these too."""
        for file in self._files:
            with contextlib.suppress(OSError):
                os.ftruncate(file.fileno(), 0)
        self._released = [0, 0]

    def close(self) -> None:
        """Close them."""
        for file in self._files:
            file.close()


def _punch(fd: int, start: int, nbytes: int) -> None:
    """Make a hole; where a system has none, the file is emptied when the executor is idle."""
    fallocate = getattr(_libc, "fallocate", None)
    if fallocate is not None:
        offset, length = ctypes.c_long(start), ctypes.c_long(nbytes)
        fallocate(fd, _PUNCH_HOLE | _KEEP_SIZE, offset, length)


_libc = ctypes.CDLL(None)
