"""Messages of streamed data, to and from bytes without protobuf.

They have one field, which is all data. Protobuf copies it twice on each side, which takes longer
than the network of one machine does. Messages of any other form are left to it.
"""

from __future__ import annotations

import contextlib
import itertools
import mmap
from typing import TYPE_CHECKING

from pymonik.errors import SerializationError
from pymonik.wire import containers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pymonik.wire.containers import Buffer

UPLOAD_FIELD = 2  # `data_chunk` in UploadResultDataRequest
DOWNLOAD_FIELD = 1  # `data_chunk` in DownloadResultDataResponse
_LENGTH_DELIMITED = 2  # wire type of bytes
_MORE = 0x80  # set in all bytes of a number but the last
_LONGEST_NUMBER = 10  # bytes of a number of 64 bits, seven bits in each
_HUGE = 4 << 20  # bytes from which memory is asked for in huge pages: one fault each, and not 512


def encode(field: int, data: Sequence[Buffer]) -> bytes:
    """A message of which only this field is set, to these bytes."""
    size = sum(memoryview(part).nbytes for part in data)
    return b"".join((_head(field, size), *data))


def decode(field: int, message: bytes) -> memoryview | None:
    """The bytes of the field, if that is all that the message has."""
    if not message or message[0] != field << 3 | _LENGTH_DELIMITED:
        return None
    size = 0
    for index, byte in enumerate(message[1 : 1 + _LONGEST_NUMBER]):
        size |= (byte & ~_MORE) << 7 * index
        if not byte & _MORE:
            data = memoryview(message)[index + 2 :]
            return data if data.nbytes == size else None
    return None


def gather(pieces: Iterator[Buffer]) -> memoryview:
    """All pieces of a container, one after the other, in memory that may be written to."""
    first = next(pieces, b"")
    size = containers.size_of(first)
    pieces = itertools.chain((first,), pieces)
    if size is None:
        return memoryview(bytearray().join(pieces))
    data = _memory(size)
    filled = 0
    for piece in pieces:
        start, filled = filled, filled + len(piece)
        if filled > size:
            raise SerializationError(f"a container of {size} bytes goes on after its end")
        data[start:filled] = piece
    return data[:filled]


def _memory(size: int) -> memoryview:
    """Zeros; in huge pages where they are many, of which the system gives 512 at once."""
    if size < _HUGE or not hasattr(mmap, "MADV_HUGEPAGE"):
        return memoryview(bytearray(size))
    mapping = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # a kernel without them
        mapping.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(mapping)


def _head(field: int, size: int) -> bytes:
    head = bytearray([field << 3 | _LENGTH_DELIMITED])
    while size >= _MORE:  # a varint: seven bits in each byte, the lowest first
        head.append(size & ~_MORE & 0xFF | _MORE)
        size >>= 7
    head.append(size)
    return bytes(head)
