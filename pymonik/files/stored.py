"""Bytes of files that are in the cluster, fetched when somebody wants them."""

from __future__ import annotations

import io
import os
import weakref
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Protocol

    from pymonik.wire.call import FileRef

    class Contents(Protocol):
        """What gives the bytes of raw results: a session."""

        def open_file(self, result_id: str) -> IO[bytes]:
            """All bytes of one, as a file."""


class Stored:
    """What a raw result holds: one file, or a pack of several.

    Args:
        contents: Gives the bytes.
        result_id: Of the raw result.
        data: The bytes, where they came with a value.
    """

    def __init__(
        self, contents: Contents | None = None, result_id: str = "", data: bytes | None = None
    ) -> None:
        self._contents = contents
        self._result_id = result_id
        self._data = data
        self._pack: IO[bytes] | None = None  # fetched once for all of its files

    def opened(self, ref: FileRef) -> IO[bytes]:
        """One file, for reading."""
        if not ref.size:
            return io.BytesIO()
        if self._data is not None:
            return io.BytesIO(self._data[ref.offset : ref.offset + ref.size])
        file = self._pack
        if file is None:
            if self._contents is None:
                raise ValueError("a file has neither bytes nor a place")
            file = self._contents.open_file(self._result_id)
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            # The raw result is this file alone: whoever opened it closes it, and it is fetched anew
            # next time.
            if size == ref.size:
                return file
            self._pack = file
            # Closed when no file of the pack is left; at the end of the process the system does it.
            weakref.finalize(self, file.close).atexit = False
        return io.BufferedReader(_Part(self, file, ref.offset, ref.size))


class _Part(io.RawIOBase):
    """A part of a file that others read at the same time."""

    def __init__(self, pack: Stored, file: IO[bytes], start: int, size: int) -> None:
        self._pack = pack  # closes the file once nobody has a part of it
        self._file = file
        self._start = start
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        """Read as much as fits."""
        count = max(0, min(len(buffer), self._size - self._position))
        place = self._start + self._position
        # Read by position: the parts share one file, and a `seek` of one would move all.
        if isinstance(self._file, io.BytesIO):
            data = bytes(self._file.getbuffer()[place : place + count])
        else:
            data = os.pread(self._file.fileno(), count, place)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to another place."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError("a negative position")
        self._position = base + offset
        return self._position
