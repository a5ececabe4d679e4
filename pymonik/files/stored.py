"""Bytes of files that are in the cluster, fetched when somebody wants them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Protocol

    from pymonik.wire.call import FileRef

    class Contents(Protocol):
        """What gives the bytes of raw results: a session."""

        def content(self, result_id: str) -> memoryview:
            """All bytes of one."""


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
        self._view = None if data is None else memoryview(data)

    def part(self, ref: FileRef) -> memoryview:
        """The bytes of one file; those of a pack are fetched once for all of its files."""
        if not ref.size:
            return memoryview(b"")
        view = self._view
        if view is None:
            if self._contents is None:
                raise ValueError("a file has neither bytes nor a place")
            view = self._contents.content(self._result_id)
            if view.nbytes != ref.size:
                self._view = view
        return view[ref.offset : ref.offset + ref.size]


class StoredFile(io.RawIOBase):
    """Reads bytes in memory, or mapped, as a file; nothing is copied ahead."""

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self._position = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        """Read as much as fits."""
        part = self._view[self._position : self._position + len(buffer)]
        buffer[: len(part)] = part
        self._position += len(part)
        return len(part)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to another place."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: len(self._view)}[whence]
        if base + offset < 0:
            raise ValueError("a negative position")
        self._position = base + offset
        return self._position
