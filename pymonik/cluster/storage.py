"""The object storage: one file per object, in a folder, named by its opaque ID.

The data of a result have the result's ID for a name, if it is free: whoever shares the file system
finds them without asking. What was streamed has a random name. Programs that share the file system
may put a file there themselves, under a name of their own, and announce it with
``ImportResultsData``. The bytes of large objects may lie elsewhere: see `pymonik.content.objects`.

What is small stays in memory, and becomes a file where somebody asks for its file: a file takes a
page, mostly of memory as well, and to make one costs more than many a task.

Names of objects are in no `Path`: Python 3.12 never forgets a name that was in one.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import threading
import time
from typing import TYPE_CHECKING

from pymonik.cluster.ids import new_id
from pymonik.cluster.state.rows import Stored
from pymonik.content import objects
from pymonik.launch import memory

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from pymonik.wire.containers import Buffer

SMALL = 1 << 14  # bytes of an object up to which it is held in memory
# Share of the machine's memory that all held objects may take together; what comes after is a file.
# Small objects as files in a folder in memory would take several times as much.
HELD_SHARE = 1 / 8
LEFT_S = 3600.0  # seconds after which a file that nobody has announced is taken for a remnant
HELD_BYTES = 256  # that an object in memory takes besides its data: names, entries of tables


class Storage:
    """Objects in `folder`, which only its user can read."""

    def __init__(self, folder: Path) -> None:
        objects.make(folder)
        self.folder = folder
        self._large = objects.large_folder(folder)
        self._prefix = f"{folder}{os.sep}"
        self._lock = threading.Lock()  # guards those below
        self._held: dict[str, bytes] = {}
        self._held_bytes = 0
        self._most_held = int(memory.total() * HELD_SHARE)
        self._used: set[str] = set()  # names of held objects that one task has got, see `first_use`
        # Names that are taken by files: there, about to be written, or just removed. A name is
        # taken before the file is there, so that two threads never choose the same.
        self._filed: set[str] = set()

    def restore(self, small: Mapping[str, bytes], names: Iterable[str]) -> None:
        """Hold the objects of a cluster that has ended again; its files are in the folder.

        Files that no row knows of are the rest of what was being written when it ended. They are
        removed if they are old: a program may have put one there that it is about to announce.

        Args:
            small: What is in no file, by name.
            names: All objects that there are.
        """
        known = set(names)
        for place in (self.folder, self._large):
            for entry in os.scandir(place):
                if entry.name in known:
                    self._filed.add(entry.name)
                elif entry.is_file(follow_symlinks=False) and _is_old(entry):
                    objects.remove(entry.path)
        for opaque_id, data in small.items():
            if opaque_id in known and opaque_id not in self._filed:
                self._held[opaque_id] = data
                self._held_bytes += len(data) + HELD_BYTES

    def write(self, data: bytes, result_id: str) -> Stored:
        """Store bytes of a result."""
        opaque_id = self._hold(data, result_id) if len(data) <= SMALL else None
        if opaque_id is None:
            opaque_id = self._name_of_file(result_id)
            try:
                # The final name at once: nobody reads the file before its result is completed.
                objects.store(self.folder, opaque_id, (data,))
            except BaseException:
                self._forget(opaque_id)
                raise
        return Stored(opaque_id, len(data))

    def _hold(self, data: bytes, result_id: str) -> str | None:
        """Keep it in memory if there is room: its name then.

        No system call, which would have all other threads go first: this is done for every task.
        """
        size = len(data) + HELD_BYTES
        with self._lock:
            if self._held_bytes + size > self._most_held:
                return None
            # A result may be completed a second time, or have an id that a worker gave it.
            is_taken = result_id in self._held or result_id in self._filed
            opaque_id = new_id() if is_taken or not objects.is_name(result_id) else result_id
            self._held[opaque_id] = data
            self._held_bytes += size
        return opaque_id

    def _name_of_file(self, result_id: str) -> str:
        """A name for a file, which nothing else gets until it is forgotten."""
        with self._lock:
            opaque_id = result_id if self._is_free(result_id) else new_id()
            self._filed.add(opaque_id)
        return opaque_id

    def _is_free(self, opaque_id: str) -> bool:
        if not objects.is_name(opaque_id) or opaque_id in self._held or opaque_id in self._filed:
            return False
        return not os.path.lexists(self._prefix + opaque_id)

    def receive(self, chunks: Iterable[Buffer]) -> Stored:
        """Store a stream; what has arrived is removed if the stream breaks."""
        chunks = iter(chunks)
        start = _start(chunks)
        # The rest of the stream may be of any size: the disk has room.
        is_large = sum(map(len, start)) >= objects.LARGE
        home = self._large if is_large else self.folder
        # No reader knows it before the end, so that no temporary name is needed.
        opaque_id = new_id()
        place = objects.path_in(home, opaque_id)
        size = 0
        try:
            with open(place, "xb", buffering=0) as file:  # noqa: PTH123
                for chunk in itertools.chain(start, chunks):
                    objects.write(file.fileno(), (chunk,))
                    size += len(chunk)
            objects.show(self.folder, home, opaque_id)
        except OSError as error:
            objects.remove(place)
            raise objects.about(error, place) from error
        except BaseException:
            objects.remove(place)
            raise
        return Stored(opaque_id, size)

    def adopt(self, path: Path, result_id: str) -> Stored:
        """Move a file with the data of a result into the storage."""
        size = path.stat().st_size
        home = self._beside(path)
        opaque_id = self._name_of_file(result_id)
        with contextlib.suppress(OSError):  # no links there
            self._link(path, home, opaque_id)
            path.unlink()
            return Stored(opaque_id, size)
        self._forget(opaque_id)
        opaque_id = new_id()
        try:
            os.replace(path, objects.path_in(home, opaque_id))  # noqa: PTH105
        except OSError:  # another file system
            temporary = objects.path_in(home, f".{opaque_id}")
            # A copy takes time: under another name first, so that no reader finds half of it.
            shutil.move(path, temporary)
            os.replace(temporary, objects.path_in(home, opaque_id))  # noqa: PTH105
        objects.show(self.folder, home, opaque_id)
        return Stored(opaque_id, size)

    def _beside(self, path: Path) -> Path:
        """The home of a file that is moved in: none of its bytes is copied for its size."""
        is_large = self._large != self.folder and path.stat().st_dev == self._large.stat().st_dev
        return self._large if is_large else self.folder

    def _link(self, path: Path, home: Path, opaque_id: str) -> None:
        self._place(opaque_id)
        target = objects.path_in(home, opaque_id)
        # A link fails where the name is taken; a rename would replace what lies there.
        os.link(path, target)
        try:
            objects.show(self.folder, home, opaque_id)
        except OSError:
            objects.remove(target)
            raise

    def file(self, opaque_id: str) -> str:
        """The file of an object, there or not; what was held in memory is there from now on.

        Raises:
            ValueError: No object can have this name.
        """
        place = self._place(opaque_id)
        if opaque_id in self._held:
            with self._lock:
                # Asked again: another thread may have made the file, or deleted the object,
                # meanwhile.
                if (data := self._held.get(opaque_id)) is not None:
                    # In this order, so that a reader without the lock always finds one of the two.
                    objects.store(self.folder, opaque_id, (data,))
                    self._filed.add(opaque_id)
                    self._drop(opaque_id)
        return place

    def small(self, opaque_id: str) -> bytes | None:
        """All bytes of an object; ``None`` if they are many.

        Raises:
            ValueError: No object can have this name.
            FileNotFoundError: There is none of that name.
        """
        if (held := self._held.get(opaque_id)) is not None:
            return held
        descriptor = os.open(self._place(opaque_id), os.O_RDONLY | os.O_CLOEXEC)
        try:
            data = os.read(descriptor, SMALL + 1)  # one byte more tells that there is more
        finally:
            os.close(descriptor)
        return data if len(data) <= SMALL else None

    def held(self, opaque_id: str) -> bytes | None:
        """All bytes of an object that is in memory."""
        return self._held.get(opaque_id)

    def first_use(self, opaque_id: str) -> bytes | None:
        """All bytes of an object that is in memory, for the first task that has it for an input.

        Most are of one task only. One of many, as a function is, is better off as a file, of which
        not all want to know what it contains.
        """
        with self._lock:  # or one that is deleted meanwhile would leave its name
            data = self._held.get(opaque_id)
            if data is None or opaque_id in self._used:
                return None
            self._used.add(opaque_id)
        return data

    def size(self, opaque_id: str) -> int | None:
        """Bytes of an object; ``None`` if there is none of that name."""
        if (held := self._held.get(opaque_id)) is not None:
            return len(held)
        try:
            return os.stat(self._place(opaque_id)).st_size  # noqa: PTH116  (for every input)
        except (ValueError, FileNotFoundError):
            return None

    def announced(self, opaque_id: str) -> int | None:
        """Bytes of a file that somebody else put there, if there is one: the name is theirs."""
        size = self.size(opaque_id)
        with self._lock:
            if size is not None and opaque_id not in self._held:
                self._filed.add(opaque_id)
        return size

    def exists(self, opaque_id: str) -> bool:
        """Whether there is such an object."""
        return self.size(opaque_id) is not None

    def read(self, opaque_id: str, chunk_size: int) -> Iterator[bytes]:
        """The bytes of an object in chunks; none for an empty one."""
        if (held := self._held.get(opaque_id)) is not None:
            yield from (held[i : i + chunk_size] for i in range(0, len(held), chunk_size))
            return
        with open(self.file(opaque_id), "rb", buffering=0) as file:  # noqa: PTH123
            while chunk := file.read(chunk_size):
                yield chunk

    def delete(self, opaque_id: str) -> None:
        """Remove an object; it may be gone already."""
        if opaque_id in self._held:
            with self._lock:
                if self._drop(opaque_id):
                    return
        with contextlib.suppress(ValueError):
            objects.remove(self._place(opaque_id))
            if self._large != self.folder:
                objects.remove(objects.path_in(self._large, opaque_id))
        self._forget(opaque_id)

    def _forget(self, opaque_id: str) -> None:
        """Note that this object has no file any more."""
        with self._lock:
            self._filed.discard(opaque_id)
            if not self._filed:
                self._filed.clear()  # or it keeps the size that it had

    def _drop(self, opaque_id: str) -> bool:
        """Whether it was in memory; called with the lock held."""
        data = self._held.pop(opaque_id, None)
        if data is not None:
            self._held_bytes -= len(data) + HELD_BYTES
            self._used.discard(opaque_id)
        if not self._held:  # or they keep the size that they had
            self._held.clear()
            self._used.clear()
        return data is not None

    def _place(self, opaque_id: str) -> str:
        if not objects.is_name(opaque_id):
            raise ValueError(f"not the name of an object: {opaque_id!r}")
        return self._prefix + opaque_id


def _is_old(entry: os.DirEntry[str]) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return time.time() - entry.stat(follow_symlinks=False).st_mtime > LEFT_S
    return False


def _start(chunks: Iterator[Buffer]) -> list[Buffer]:
    """The chunks of a stream until it is known to be large, or has ended."""
    start: list[Buffer] = []
    size = 0
    for chunk in chunks:
        start.append(chunk)
        size += len(chunk)
        if size >= objects.LARGE:
            break
    return start
