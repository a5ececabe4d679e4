"""`Journal`: the tables of a cluster on a disk, so that it comes back with them after any end.

A file of frames, one for each transition::

    u32 size | u32 checksum | msgpack: sessions, tasks, results, sessions that are gone

A row is written whole whenever it has changed, and the last one of its id holds; with a result go
its bytes, where they lie in the memory of the cluster. A frame is written before anybody hears of
its transition, in one call: what was acknowledged survives `kill -9` of the cluster, since the
system has it by then, and an orderly restart of the machine brings it to the disk. A frame that
was cut by the end of the process is the last one, and is left out. After a failure of the power
the last seconds may be missing: to wait for the disk with each transition takes 0.4 to 4 ms, ten
times what the rest of a request takes.

At the start the file is written anew with the rows that are left, and so it is when it has grown
to several times their size.

A database was compared: the tables are in memory anyway, nobody asks this file for anything, and a
transaction of SQLite takes ten times as long as a write.
"""

from __future__ import annotations

import fcntl
import logging
import os
import struct
import zlib
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pymonik.cluster import written_rows
from pymonik.cluster.state.restoring import Rows
from pymonik.cluster.state.rows import Result, Session, Task
from pymonik.cluster.written_rows import of_result, of_session, of_task
from pymonik.content import objects
from pymonik.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from pymonik.cluster.state.rows import Effects
    from pymonik.cluster.state.tables import State

logger = logging.getLogger(__name__)

FILE: Final = "rows.log"
LOCK: Final = "data.lock"
_FORMAT: Final = "pymonik cluster 1"
_FRAME: Final = struct.Struct("<II")  # size and CRC-32 of what follows
_GROWTH: Final = 4  # times what the rows take, after which the file is written anew
_SMALLEST: Final = 64 * 1024 * 1024  # bytes; a smaller one is left alone
_TOGETHER: Final = 1000  # rows of one frame of a file that is written anew
# Bytes behind the frames that a request has to leave free: for what it causes later without asking
# again, as ends of tasks, and for deletions, which must go through on a full disk.
_ROOM: Final = 1024 * 1024

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class Journal:
    """The file of one cluster; for one thread at a time.

    Args:
        folder: Of the cluster's data, which is made. One cluster at a time may have it.
        held: Gives the bytes of an object that is in memory, ``None`` for others.

    Attributes:
        lacks: What the system said when the file could not be written; empty once it can again.

    Raises:
        ConfigError: The folder cannot be used, or another cluster does, or a later version did.
    """

    def __init__(self, folder: Path, held: Callable[[str], bytes | None]) -> None:
        self._path = folder / FILE
        self._held = held
        self._lock = _locked(folder)
        self._file = -1
        self._size = 0  # of the frames; what lies behind them is room
        self._end = 0  # of the file, with that room
        self._size_of_rows = 0
        # Rows that are not written yet, and ids of sessions that are gone. A row is an object that
        # changes in place: by its identity it stands here once, and is written as it is then.
        self._missed: dict[int, Any] = {}
        self._gone: list[str] = []
        self.lacks = ""

    def read(self) -> Rows:
        """What the file has; nothing where there is none."""
        rows = Rows()
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return rows
        frames = _frames(data)
        self._size, first = next(frames, (0, [_FORMAT]))
        if first != [_FORMAT]:
            raise ConfigError(f"{self._path} was not written by this version of pymonik")
        known = written_rows.KnownOptions()
        for end, (sessions, tasks, results, gone) in frames:
            self._size = end
            for session in sessions:
                rows.add_session(written_rows.session(session))
            for task in tasks:
                rows.add_task(written_rows.task(task, known))
            for result, bytes_ in results:
                rows.add_result(written_rows.result(result), bytes_)
            rows.gone.update(gone)
        rows.drop_gone()
        written_rows.tell_ancestors(rows.tasks)
        return rows

    def begin(self, state: State) -> None:
        """Write the file anew, with all rows of the state; called before anything changes.

        Without room for a second file the cluster goes on behind the end of the one that was read:
        only a cluster that runs can be asked to delete what takes the room.

        Raises:
            OSError: There is none, and no file either.
        """
        try:
            self._write_anew(state)
        except OSError as error:
            if not self._size:
                raise objects.about(error, str(self._path)) from error
            self._file = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
            # Whatever stands behind the last whole frame was never acknowledged.
            os.ftruncate(self._file, self._size)
            os.lseek(self._file, self._size, os.SEEK_SET)
            self._end = self._size_of_rows = self._size
            logger.error("%s cannot be written anew: %s", self._path, error)

    def _write_anew(self, state: State) -> None:
        unfinished = self._path.with_suffix(".new")
        descriptor = os.open(
            unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600
        )
        size = 0
        try:
            for frame in self._all(state):
                size += _write(descriptor, frame)
            os.fsync(descriptor)  # or a failure of the power might find the name without the data
            unfinished.rename(self._path)
        except BaseException:
            os.close(descriptor)
            unfinished.unlink(missing_ok=True)
            raise
        if self._file >= 0:
            os.close(self._file)
        self._file, self._size, self._end, self._size_of_rows = descriptor, size, size, size

    def reserve(self, nbytes: int) -> None:
        """Have room on the disk for a transition, before there is one.

        So whoever asks for what cannot be kept is refused, and nothing of it happens. What ends
        tasks and deletes things asks for nothing: it has the room that was left for that.

        Args:
            nbytes: That the request brings, as far as it can be told.

        Raises:
            OSError: There is none; it names the file.
        """
        needed = self._size + nbytes + _ROOM
        if needed <= self._end:
            return
        try:
            # In the file, as zeros behind the frames: nobody else gets it from the file system.
            is_reserved = objects.reserve(self._file, self._end, needed + _ROOM - self._end)
        except OSError as error:
            raise objects.about(error, str(self._path)) from error
        if is_reserved:
            self._end = needed + _ROOM

    def write(self, effects: Effects, state: State) -> bool:
        """Write what a transition has changed, and what could not be written before.

        Returns:
            Whether the disk has it. If not, the rows are kept for the next time.
        """
        rows: dict[int, Any] = {id(change.row): change.row for change in effects.changes}
        rows |= {id(row): row for row in effects.quiet}
        if rows or effects.gone:
            self._missed |= rows
            self._gone += effects.gone
        return self.write_missed(state)

    def write_missed(self, state: State) -> bool:
        """Write what is not written yet; whether nothing is left."""
        if not self._missed and not self._gone:
            return True
        try:
            self._size += _write(self._file, self._frame())
        except OSError as error:
            self._take_back(error)
            return False
        self._end = max(self._end, self._size)
        self._missed, self._gone = {}, []
        if self.lacks:
            self.lacks = ""
            logger.warning("%s can be written again", self._path)
        if self._size > max(_SMALLEST, _GROWTH * self._size_of_rows):
            self._shorten(state)
        return True

    def _shorten(self, state: State) -> None:
        try:
            self._write_anew(state)
        except OSError as error:
            self._size_of_rows = self._size  # not with each write from now on
            logger.warning("%s cannot be written anew: %s", self._path, error)

    def _frame(self) -> bytes:
        """The rows as they are now, after all changes of the transition."""
        changed = self._missed.values()
        sessions = [of_session(row) for row in changed if isinstance(row, Session)]
        tasks = [of_task(row) for row in changed if isinstance(row, Task)]
        results = [self._with_data(row) for row in changed if isinstance(row, Result)]
        return _encode((sessions, tasks, results, self._gone))

    def _take_back(self, error: OSError) -> None:
        """What was written of a frame is written over; one that is cut is the last one anyway."""
        os.lseek(self._file, self._size, os.SEEK_SET)
        if not self.lacks:
            self.lacks = str(objects.about(error, str(self._path)))
            logger.error("%s", self.lacks)

    def close(self) -> None:
        """Have the disk get it, and let others use the folder."""
        if self._file >= 0:
            os.ftruncate(self._file, self._size)  # without the room that was reserved
            os.fsync(self._file)
            os.close(self._file)
            self._file = -1
        os.close(self._lock)

    def _with_data(self, row: Result) -> tuple[object, bytes | None]:
        return of_result(row), self._held(row.opaque_id) if row.opaque_id else None

    def _all(self, state: State) -> Iterator[bytes]:
        yield _encode([_FORMAT])
        yield _encode((list(map(of_session, state.sessions.values())), (), (), ()))
        for some in _parts(state.results.values()):
            yield _encode(((), (), list(map(self._with_data, some)), ()))
        for of_tasks in _parts(state.tasks.values()):
            yield _encode(((), list(map(of_task, of_tasks)), (), ()))


def _locked(folder: Path) -> int:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Payloads are pickles: whoever can write here can have the next cluster of this user run
        # anything.
        about = folder.stat()
        if about.st_uid != os.getuid() or about.st_mode & 0o022:
            raise ConfigError(f"{folder} can be written by others: whoever writes there runs code")
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be used for data: {error}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise ConfigError(f"another cluster uses {folder}") from None
    return lock


def _write(descriptor: int, frame: bytes) -> int:
    data = _FRAME.pack(len(frame), zlib.crc32(frame)) + frame
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    return len(data)


def _frames(data: bytes) -> Iterator[tuple[int, Any]]:
    """Where each frame ends, and what it has; those that are whole."""
    position = 0
    while position + _FRAME.size <= len(data):
        size, checksum = _FRAME.unpack_from(data, position)
        if not size:
            return  # room that nothing was written into
        start = position + _FRAME.size
        frame = data[start : start + size]
        if len(frame) < size or zlib.crc32(frame) != checksum:
            logger.warning("the end of the data was not written: %d bytes", len(data) - position)
            return
        position = start + size
        yield position, _decode(frame)


def _parts(rows: Iterable[Any]) -> Iterator[Sequence[Any]]:
    part: list[Any] = []
    for row in rows:
        part.append(row)
        if len(part) == _TOGETHER:
            yield part
            part = []
    if part:
        yield part
