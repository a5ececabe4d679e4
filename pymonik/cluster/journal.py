"""`Journal`: the tables of a cluster on a disk, so that it comes back with them after any end.

A file of frames, one for each transition::

    u32 size | u32 checksum | msgpack: sessions, tasks, results, sessions that are gone

A row is written whole whenever it has changed, and the last one of its id holds; with a result go
its bytes, where they lie in the memory of the cluster. A frame is written before anybody hears of
its transition, in one call: what was acknowledged survives `kill -9` of the cluster, since the
system has it by then. A frame that was cut by the end of the process is the last one, and is left
out. After a failure of the power the last seconds may be missing.

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
import sys
import zlib
from dataclasses import fields
from datetime import timedelta
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pymonik.cluster.state.restoring import Rows
from pymonik.cluster.state.rows import Result, ResultStatus, Session, SessionStatus, Task
from pymonik.cluster.state.rows import TaskStatus as Status
from pymonik.cluster.state.work import TaskOptions
from pymonik.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pymonik.cluster.state.rows import Effects
    from pymonik.cluster.state.tables import State

logger = logging.getLogger(__name__)

FILE: Final = "rows.log"
LOCK: Final = "data.lock"
_FORMAT: Final = "pymonik cluster 1"
_FRAME: Final = struct.Struct("<II")
_GROWTH: Final = 4  # times what the rows take, after which the file is written anew
_SMALLEST: Final = 64 * 1024 * 1024  # bytes; a smaller one is left alone
_TOGETHER: Final = 1000  # rows of one frame of a file that is written anew

# Not of a task: what is found again from the other rows.
_NOT_KEPT: Final = frozenset({"number", "waiting_for", "queued", "environment"})
_SESSION: Final = tuple(one.name for one in fields(Session) if one.name != "recent")
_DURATION: Final = _SESSION.index("duration")
_TASK: Final = tuple(one.name for one in fields(Task) if one.name not in _NOT_KEPT)
_RESULT: Final = tuple(one.name for one in fields(Result) if one.name != "dependents")
_OPTIONS: Final = tuple(one.name for one in fields(TaskOptions))
_task_values = attrgetter(*_TASK)
_of_result = attrgetter(*_RESULT)
_option_values = attrgetter(*_OPTIONS)
_OPTIONS_OF_SESSION: Final = _SESSION.index("options")
_OPTIONS_OF_TASK: Final = _TASK.index("options")
_ANCESTORS: Final = _TASK.index("parent_task_ids")
_LIMIT: Final = _OPTIONS.index("max_duration")


def _of_session(row: Session) -> list[Any]:
    values = [getattr(row, name) for name in _SESSION]
    values[_OPTIONS_OF_SESSION] = _of_options(row.options)
    if row.duration is not None:
        values[_DURATION] = _microseconds(row.duration)
    return values


def _of_task(row: Task) -> list[Any]:
    values = list(_task_values(row))
    values[_OPTIONS_OF_TASK] = _of_options(row.options)
    # The last one names the others: a monitor has thousands of turns, and each would list all.
    values[_ANCESTORS] = row.parent_task_ids[-1:]
    return values


def _of_options(options: TaskOptions) -> list[Any]:
    values = list(_option_values(options))
    values[_LIMIT] = _microseconds(options.max_duration)
    return values


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class Journal:
    """The file of one cluster; for one thread at a time.

    Args:
        folder: Of the cluster's data, which is made. One cluster at a time may have it.
        held: Gives the bytes of an object that is in memory, ``None`` for others.

    Raises:
        ConfigError: The folder cannot be used, or another cluster does, or a later version did.
    """

    def __init__(self, folder: Path, held: Callable[[str], bytes | None]) -> None:
        self._path = folder / FILE
        self._held = held
        self._lock = _locked(folder)
        self._file = -1
        self._size = 0
        self._size_of_rows = 0
        # What is not written yet: rows by identity, and sessions that are gone.
        self._missed: dict[int, Any] = {}
        self._gone: list[str] = []
        self._is_full = False
        self._known_options: dict[bytes, TaskOptions] = {}

    def read(self) -> Rows:
        """What the file has; nothing where there is none."""
        rows = Rows()
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return rows
        self._known_options.clear()
        frames = _frames(data)
        if next(frames, [_FORMAT]) != [_FORMAT]:
            raise ConfigError(f"{self._path} was not written by this version of pymonik")
        for sessions, tasks, results, gone in frames:
            for session in sessions:
                rows.add_session(_session(session))
            for task in tasks:
                rows.add_task(self._task(task))
            for result, bytes_ in results:
                rows.add_result(_result(result), bytes_)
            rows.gone.update(gone)
        rows.drop_gone()
        _tell_ancestors(rows.tasks)
        self._known_options.clear()
        return rows

    def _task(self, values: list[Any]) -> Task:
        """A row, with one object for equal options: most tasks of a session have the same."""
        place = _encode(values[_OPTIONS_OF_TASK])
        if place not in self._known_options:
            self._known_options[place] = _options(values[_OPTIONS_OF_TASK])
        values[_OPTIONS_OF_TASK] = self._known_options[place]
        return _task(values)

    def begin(self, state: State) -> None:
        """Write the file anew, with all rows of the state; called before anything changes."""
        unfinished = self._path.with_suffix(".new")
        descriptor = os.open(
            unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600
        )
        size = 0
        for frame in self._all(state):
            size += _write(descriptor, frame)
        os.fsync(descriptor)
        unfinished.rename(self._path)
        if self._file >= 0:
            os.close(self._file)
        self._file, self._size, self._size_of_rows = descriptor, size, size

    def write(self, effects: Effects, state: State) -> None:
        """Write what a transition has changed, and what could not be written before."""
        rows: dict[int, Any] = {id(change.row): change.row for change in effects.changes}
        rows |= {id(row): row for row in effects.quiet}
        if not rows and not effects.gone:
            return
        self._missed |= rows
        self._gone += effects.gone
        try:
            self._size += _write(self._file, self._frame())
        except OSError as error:
            self._take_back(error)
            return
        self._missed, self._gone, self._is_full = {}, [], False
        if self._size > max(_SMALLEST, _GROWTH * self._size_of_rows):
            self.begin(state)

    def _frame(self) -> bytes:
        """The rows as they are now, after all changes of the transition."""
        changed = self._missed.values()
        sessions = [_of_session(row) for row in changed if isinstance(row, Session)]
        tasks = [_of_task(row) for row in changed if isinstance(row, Task)]
        results = [self._with_data(row) for row in changed if isinstance(row, Result)]
        return _encode((sessions, tasks, results, self._gone))

    def _take_back(self, error: OSError) -> None:
        """Cut what was written of a frame; the cluster goes on, and the next one has its rows."""
        os.ftruncate(self._file, self._size)
        os.lseek(self._file, self._size, os.SEEK_SET)
        if not self._is_full:
            self._is_full = True
            logger.error(
                "%s cannot be written, so that an end now would lose data: %s", self._path, error
            )

    def close(self) -> None:
        """Have the disk get it, and let others use the folder."""
        if self._file >= 0:
            os.fsync(self._file)
            os.close(self._file)
            self._file = -1
        os.close(self._lock)

    def _with_data(self, row: Result) -> tuple[object, bytes | None]:
        return _of_result(row), self._held(row.opaque_id) if row.opaque_id else None

    def _all(self, state: State) -> Iterator[bytes]:
        yield _encode([_FORMAT])
        yield _encode((list(map(_of_session, state.sessions.values())), (), (), ()))
        for some in _parts(state.results.values()):
            yield _encode(((), (), list(map(self._with_data, some)), ()))
        for of_tasks in _parts(state.tasks.values()):
            yield _encode(((), list(map(_of_task, of_tasks)), (), ()))


def _locked(folder: Path) -> int:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
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


def _frames(data: bytes) -> Iterator[Any]:
    position = 0
    while position + _FRAME.size <= len(data):
        size, checksum = _FRAME.unpack_from(data, position)
        start = position + _FRAME.size
        frame = data[start : start + size]
        if len(frame) < size or zlib.crc32(frame) != checksum:
            logger.warning("the end of the data was not written: %d bytes", len(data) - position)
            return
        yield _decode(frame)
        position = start + size


def _parts(rows: Iterable[Any]) -> Iterator[Sequence[Any]]:
    part: list[Any] = []
    for row in rows:
        part.append(row)
        if len(part) == _TOGETHER:
            yield part
            part = []
    if part:
        yield part


def _options(values: Sequence[Any]) -> TaskOptions:
    named = dict(zip(_OPTIONS, values, strict=True))
    named["max_duration"] = timedelta(microseconds=named["max_duration"])
    return TaskOptions(**named)


def _microseconds(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1)


def _session(values: Sequence[Any]) -> Session:
    named = dict(zip(_SESSION, values, strict=True))
    named["options"] = _options(named["options"])
    named["status"] = SessionStatus(named["status"])
    named["partition_ids"] = tuple(named["partition_ids"])
    if named["duration"] is not None:
        named["duration"] = timedelta(microseconds=named["duration"])
    return Session(**named)


def _task(values: Sequence[Any]) -> Task:
    named = dict(zip(_TASK, values, strict=True))
    named["session_id"] = sys.intern(named["session_id"])  # as for results: one text for all rows
    named["status"] = Status(named["status"])
    for name in ("parent_task_ids", "retry_of_ids"):
        named[name] = tuple(named[name])
    return Task(**named)


def _tell_ancestors(tasks: Mapping[str, Task]) -> None:
    """Have each row name all its ancestors again, one tuple for all children of a task.

    Tasks stand here in the order of their creation, so a parent has its own when its children come.
    """
    of_children: dict[str, tuple[str, ...]] = {}
    for task in tasks.values():
        (last,) = task.parent_task_ids
        parent = tasks.get(last)  # of what a client has submitted it is the session
        if parent is not None:
            if last not in of_children:
                of_children[last] = (*parent.parent_task_ids, parent.task_id)
            task.parent_task_ids = of_children[last]


def _result(values: Sequence[Any]) -> Result:
    named = dict(zip(_RESULT, values, strict=True))
    named["session_id"] = sys.intern(named["session_id"])
    named["status"] = ResultStatus(named["status"])
    return Result(**named)
