"""Inputs and large outputs as files: mapped where they lie, written without joining them."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING

from pymonik.content import objects
from pymonik.content.mapped import mapped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymonik.wire.containers import Buffer

_SMALL = 1 << 16  # bytes up to which a file is read: below, that costs less than mapping it
# Bytes up to which a value goes through the socket to the parent. What is larger is a file, which
# the parent renames into the storage without reading it.
INLINE_LIMIT = 1 << 16

_numbers = itertools.count()


def load(source: str | bytes) -> Buffer:
    """The content of an input, see `Run`; it can be changed in memory, which nobody else sees."""
    if isinstance(source, bytes):
        # A copy that can be written to: arrays in the value refer to it, and calls may change their
        # arguments.
        return bytearray(source)
    fd = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(fd).st_size
        if size > _SMALL:
            return mapped(fd, size)
        return _read(fd, size)
    finally:
        os.close(fd)


def _read(fd: int, size: int) -> bytearray:
    data = bytearray(size)
    view = memoryview(data)
    position = 0
    while position < size:
        # A read may give less than was asked for, on some file systems.
        count = os.readv(fd, [view[position:]])
        if count == 0:
            raise EOFError("an input was cut while it was read")
        position += count
    return data


def save(folder: str, segments: Sequence[Buffer]) -> str:
    """Write a container to a new file in ``folder``; give its path.

    Raises:
        OSError: There is no room; told as what it is, since the user's function has ended by then.
    """
    name = f"{os.getpid()}-{next(_numbers)}.result"
    try:
        return objects.path_in(objects.create(Path(folder), name, segments), name)
    except OSError as error:
        nbytes = sum(memoryview(segment).nbytes for segment in segments)
        text = f"a value of {nbytes} bytes cannot be stored: {error.strerror}"
        raise OSError(error.errno, text, error.filename) from error


def store(folder: str, segments: Sequence[Buffer]) -> tuple[bytes | None, str | None]:
    """``segments`` as bytes, or as a file where they are large."""
    only = segments[0] if len(segments) == 1 else None
    if type(only) is bytes and len(only) <= INLINE_LIMIT:  # as most results are
        return only, None
    if sum(memoryview(segment).nbytes for segment in segments) <= INLINE_LIMIT:
        return b"".join(segments), None
    return None, save(folder, segments)
