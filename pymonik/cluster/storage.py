"""The object storage: one file per object, in a folder, named by its opaque ID.

Small data of a result has the result's ID for a name, if it is free: whoever shares the file system
finds it without asking. Others have random names, and are whole before anybody knows them. Programs
that share the file system may put a file there themselves, under a name of their own, and announce
it with ``ImportResultsData``.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from pymonik.cluster.ids import new_id
from pymonik.cluster.rows import Stored

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SMALL = 1 << 14  # bytes


class Storage:
    """Objects in `folder`, which only its user can read."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder
        self._prefix = f"{folder}{os.sep}"

    def write(self, data: bytes, result_id: str) -> str:
        """Store bytes of a result; gives the opaque ID."""
        try:
            opaque_id, descriptor = self._new(result_id)
        except (FileExistsError, ValueError):  # completed a second time; an ID of a worker's own
            opaque_id, descriptor = self._new(new_id())
        # Nobody reads it before the result is completed, so that no temporary name is needed.
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        except BaseException:
            Path(self._prefix + opaque_id).unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)
        return opaque_id

    def receive(self, chunks: Iterable[bytes]) -> Stored:
        """Store a stream; what has arrived is removed if the stream breaks."""
        opaque_id = new_id()
        temporary = self._temporary()
        try:
            with temporary.open("xb") as file:
                for chunk in chunks:
                    file.write(chunk)
                size = file.tell()
            temporary.rename(self.folder / opaque_id)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        return Stored(opaque_id, size)

    def adopt(self, path: Path) -> str:
        """Move a file into the storage; gives the opaque ID."""
        opaque_id = new_id()
        try:
            path.rename(self.folder / opaque_id)
        except OSError:  # another file system
            temporary = self._temporary()
            shutil.move(path, temporary)
            temporary.rename(self.folder / opaque_id)
        return opaque_id

    def file(self, opaque_id: str) -> str:
        """Where an object is, there or not.

        Raises:
            ValueError: No object can have this name.
        """
        # Names come from clients that import: they must stay in the folder.
        if not opaque_id or opaque_id[0] == "." or os.sep in opaque_id or "\0" in opaque_id:
            raise ValueError(f"not the name of an object: {opaque_id!r}")
        return self._prefix + opaque_id

    def path(self, opaque_id: str) -> Path:
        """The same as a `Path`."""
        return Path(self.file(opaque_id))

    def small(self, opaque_id: str) -> bytes | None:
        """All bytes of an object; ``None`` if they are many.

        Raises:
            ValueError: No object can have this name.
            FileNotFoundError: There is none of that name.
        """
        descriptor = os.open(self.file(opaque_id), os.O_RDONLY | os.O_CLOEXEC)
        try:
            data = os.read(descriptor, SMALL + 1)
        finally:
            os.close(descriptor)
        return data if len(data) <= SMALL else None

    def size(self, opaque_id: str) -> int | None:
        """Bytes of an object; ``None`` if there is none of that name."""
        try:
            return os.stat(self.file(opaque_id)).st_size  # noqa: PTH116  (for every input)
        except (ValueError, FileNotFoundError):
            return None

    def exists(self, opaque_id: str) -> bool:
        """Whether there is such an object."""
        return self.size(opaque_id) is not None

    def read(self, opaque_id: str, chunk_size: int) -> Iterator[bytes]:
        """The bytes of an object in chunks; none for an empty one."""
        with self.path(opaque_id).open("rb") as file:
            while chunk := file.read(chunk_size):
                yield chunk

    def delete(self, opaque_id: str) -> None:
        """Remove an object; it may be gone already."""
        with contextlib.suppress(ValueError):
            Path(self.file(opaque_id)).unlink(missing_ok=True)

    def _new(self, opaque_id: str) -> tuple[str, int]:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        return opaque_id, os.open(self.file(opaque_id), flags, 0o600)

    def _temporary(self) -> Path:
        return self.folder / f".{new_id()}"
