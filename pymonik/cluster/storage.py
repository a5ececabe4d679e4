"""The object storage: one file per object, in a folder, named by its opaque ID.

The data of a result have the result's ID for a name, if it is free: whoever shares the file system
finds them without asking. What was streamed has a random name. Programs that share the file system
may put a file there themselves, under a name of their own, and announce it with
``ImportResultsData``. The bytes of large objects may lie elsewhere: see `pymonik.core.objects`.

Small payloads of tasks stay in memory: nobody but a worker reads them, once, and they need not
become files for that. They do where somebody asks for their file.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from pymonik.cluster.ids import new_id
from pymonik.cluster.state.rows import Stored
from pymonik.core import objects

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pymonik.core.codec import Buffer

SMALL = 1 << 14  # bytes
MOST_HELD = 1 << 28  # bytes, of all objects in memory


class Storage:
    """Objects in `folder`, which only its user can read."""

    def __init__(self, folder: Path) -> None:
        objects.make(folder)
        self.folder = folder
        self._large = objects.large_folder(folder)
        self._prefix = f"{folder}{os.sep}"
        self._lock = threading.Lock()  # guards the two below
        self._held: dict[str, bytes] = {}
        self._held_bytes = 0

    def hold(self, data: bytes, result_id: str) -> str:
        """Like `write`, for data that hardly anybody but a worker will read."""
        with self._lock:
            if len(data) <= SMALL and self._held_bytes + len(data) <= MOST_HELD:
                self._held[result_id] = data
                self._held_bytes += len(data)
                return result_id
        return self.write(data, result_id)

    def write(self, data: bytes, result_id: str) -> str:
        """Store bytes of a result; gives the opaque ID."""
        opaque_id = new_id() if result_id in self._held else result_id
        try:
            self._write(data, opaque_id)
        except (FileExistsError, ValueError):  # completed a second time; an ID of a worker's own
            self._write(data, opaque_id := new_id())
        return opaque_id

    def _write(self, data: bytes, opaque_id: str) -> None:
        place, home = self._place(opaque_id), objects.home(self.folder, len(data))
        if home != self.folder:
            place = str(home / opaque_id)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(place, flags, 0o600)
        # Nobody reads it before the result is completed, so that no temporary name is needed.
        try:
            objects.write(descriptor, (data,))
            objects.show(self.folder, home, opaque_id)
        except BaseException:
            Path(place).unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)

    def receive(self, chunks: Iterable[Buffer]) -> Stored:
        """Store a stream; what has arrived is removed if the stream breaks."""
        chunks = iter(chunks)
        start = _start(chunks)
        is_large = sum(map(len, start)) >= objects.LARGE  # who knows how large: the disk has room
        home = self._large if is_large else self.folder
        opaque_id = new_id()  # nobody else knows it, so that no temporary name is needed
        place = home / opaque_id
        size = 0
        try:
            with place.open("xb", buffering=0) as file:
                for chunk in itertools.chain(start, chunks):
                    objects.write(file.fileno(), (chunk,))
                    size += len(chunk)
            objects.show(self.folder, home, opaque_id)
        except BaseException:
            place.unlink(missing_ok=True)
            raise
        return Stored(opaque_id, size)

    def adopt(self, path: Path, result_id: str) -> str:
        """Move a file with the data of a result into the storage; gives the opaque ID."""
        home = self._beside(path)
        with contextlib.suppress(OSError, ValueError):  # taken, as in `write`; no links there
            opaque_id = new_id() if result_id in self._held else result_id
            self._link(path, home, opaque_id)
            path.unlink()
            return opaque_id
        opaque_id = new_id()
        try:
            path.rename(home / opaque_id)
        except OSError:  # another file system
            temporary = home / f".{opaque_id}"
            shutil.move(path, temporary)
            temporary.rename(home / opaque_id)
        objects.show(self.folder, home, opaque_id)
        return opaque_id

    def _beside(self, path: Path) -> Path:
        """The home of a file that is moved in: none of its bytes is copied for its size."""
        is_large = self._large != self.folder and path.stat().st_dev == self._large.stat().st_dev
        return self._large if is_large else self.folder

    def _link(self, path: Path, home: Path, opaque_id: str) -> None:
        self._place(opaque_id)
        target = home / opaque_id
        os.link(path, target)
        try:
            objects.show(self.folder, home, opaque_id)
        except OSError:
            target.unlink()
            raise

    def file(self, opaque_id: str) -> str:
        """The file of an object, there or not; what was held in memory is there from now on.

        Raises:
            ValueError: No object can have this name.
        """
        place = self._place(opaque_id)
        if opaque_id in self._held:
            with self._lock:
                if (data := self._held.get(opaque_id)) is not None:
                    self._write(data, opaque_id)
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
            data = os.read(descriptor, SMALL + 1)
        finally:
            os.close(descriptor)
        return data if len(data) <= SMALL else None

    def size(self, opaque_id: str) -> int | None:
        """Bytes of an object; ``None`` if there is none of that name."""
        if (held := self._held.get(opaque_id)) is not None:
            return len(held)
        try:
            return os.stat(self._place(opaque_id)).st_size  # noqa: PTH116  (for every input)
        except (ValueError, FileNotFoundError):
            return None

    def exists(self, opaque_id: str) -> bool:
        """Whether there is such an object."""
        return self.size(opaque_id) is not None

    def read(self, opaque_id: str, chunk_size: int) -> Iterator[bytes]:
        """The bytes of an object in chunks; none for an empty one."""
        with Path(self.file(opaque_id)).open("rb", buffering=0) as file:
            while chunk := file.read(chunk_size):
                yield chunk

    def delete(self, opaque_id: str) -> None:
        """Remove an object; it may be gone already."""
        if opaque_id in self._held:
            with self._lock:
                self._drop(opaque_id)
            return
        with contextlib.suppress(ValueError):
            Path(self._place(opaque_id)).unlink(missing_ok=True)
            if self._large != self.folder:
                (self._large / opaque_id).unlink(missing_ok=True)

    def _drop(self, opaque_id: str) -> None:
        """Called with the lock held."""
        self._held_bytes -= len(self._held.pop(opaque_id, b""))

    def _place(self, opaque_id: str) -> str:
        # Names come from clients that import: they must stay in the folder.
        if not opaque_id or opaque_id[0] == "." or os.sep in opaque_id or "\0" in opaque_id:
            raise ValueError(f"not the name of an object: {opaque_id!r}")
        return self._prefix + opaque_id


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
