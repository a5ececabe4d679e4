"""Containers: what payloads, results and uploaded functions look like as bytes.

::

    b"PMK2" | u32 size of head | u64 number of blobs | u64 size of each blob | head (msgpack)
    then the blobs, large ones at a multiple of 64 bytes: arrays can be mapped where they lie

The head is a `Meta` (see `pymonik.wire.call`); what the blobs are, it says. Nothing here looks into
a blob: whoever cuts, joins or forwards containers runs no code of a user.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, TypeVar, overload

import msgspec

from pymonik.errors import SerializationError
from pymonik.wire.call import Meta, PayloadLabel, PayloadMeta, PayloadNeeds

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")
Buffer = bytes | bytearray | memoryview

# Bytes from which a blob is aligned, and a buffer of a pickle becomes a blob. Below, the gap and
# the entry in the head would cost more than a mapped array saves.
INLINE_BUFFER = 2048

_MAGIC = b"PMK2"
_PRELUDE = struct.Struct("<4sIQ")  # magic, size of the head, number of blobs
_PRELUDE_OF_ONE = struct.Struct("<4sIQQ")  # that of a container with one blob, and its size
_ALIGNMENT = 64  # bytes: a line of a processor's cache, which vector instructions read at once
# Heads up to this size (bytes) are kept decoded, so many of them: single calls that are alike have
# the same one, byte by byte.
_SHORT_HEAD = 1024
_KEPT_HEADS = 64

_encoder = msgspec.msgpack.Encoder()
_needs_decoder = msgspec.msgpack.Decoder(PayloadNeeds)
_label_decoder = msgspec.msgpack.Decoder(PayloadLabel)
# Errors of reading a head that are none of ours: texts that are not UTF-8, and lists that are too
# deep, are no `MsgspecError`.
_NO_HEAD = (struct.error, msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_decoder: msgspec.msgpack.Decoder[Meta] = msgspec.msgpack.Decoder(Meta)


def join(meta: Meta, blobs: Sequence[Buffer]) -> list[Buffer]:
    """The segments of a container, to be written one after the other."""
    return join_encoded(_encoder.encode(meta), blobs)


def encoded(meta: Meta) -> bytes:
    """A head, for containers that have the same one; see `join_encoded`."""
    return _encoder.encode(meta)


def join_encoded(head: bytes, blobs: Sequence[Buffer]) -> list[Buffer]:
    """`join` with a head that was encoded before."""
    sizes = [len(blob) if type(blob) is bytes else memoryview(blob).nbytes for blob in blobs]
    if len(sizes) == 1:  # as in most payloads and results
        prelude = _PRELUDE_OF_ONE.pack(_MAGIC, len(head), 1, sizes[0])
        if sizes[0] < INLINE_BUFFER:
            return [b"".join((prelude, head, blobs[0]))]
    else:
        prelude = _PRELUDE.pack(_MAGIC, len(head), len(blobs))
        prelude += struct.pack(f"<{len(sizes)}Q", *sizes)
    if max(sizes, default=0) < INLINE_BUFFER:
        return [b"".join((prelude, head, *blobs))]
    segments: list[Buffer] = [prelude + head]
    position = len(prelude) + len(head)
    for blob, size in zip(blobs, sizes, strict=True):
        if size >= INLINE_BUFFER and (gap := -position % _ALIGNMENT):
            segments.append(bytes(gap))
            position += gap
        segments.append(blob)
        position += size
    return segments


class Blobs(Sequence[memoryview]):
    """The blobs of a container, without a copy; each is cut out when it is asked for."""

    __slots__ = ("_sizes", "_starts", "_view")

    def __init__(self, view: memoryview, position: int, sizes: Sequence[int]) -> None:
        """Find them behind ``position``.

        Raises:
            SerializationError: The container ends before the last of them.
        """
        self._view = view
        self._starts, end = _starts(position, sizes)
        self._sizes = sizes
        if end > len(view):
            raise SerializationError(f"a container was cut: {len(view)} of {end} bytes")

    def cut(self, first: int, last: int) -> list[memoryview]:
        """The blobs from ``first`` up to ``last``."""
        if last - first != 1:
            return self[first:last]
        start = self._starts[first]  # as `self[first]`: most calls have one blob
        return [self._view[start : start + self._sizes[first]]]

    def __len__(self) -> int:
        return len(self._sizes)

    @overload
    def __getitem__(self, index: int) -> memoryview: ...
    @overload
    def __getitem__(self, index: slice) -> list[memoryview]: ...
    def __getitem__(self, index: int | slice) -> memoryview | list[memoryview]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        start = self._starts[index]
        return self._view[start : start + self._sizes[index]]


def _starts(position: int, sizes: Sequence[int]) -> tuple[list[int], int]:
    """Where each of the blobs begins that follow, and the end of the last."""
    if len(sizes) == 1 and sizes[0] < INLINE_BUFFER:
        return [position], position + sizes[0]
    if max(sizes, default=0) < INLINE_BUFFER:
        *starts, position = accumulate(sizes, initial=position)
        return starts, position
    starts = []
    for size in sizes:
        if size >= INLINE_BUFFER:
            position += -position % _ALIGNMENT
        starts.append(position)
        position += size
    return starts, position


def split(container: Buffer) -> tuple[Meta, Blobs]:
    """The head and the blobs of a container.

    Raises:
        SerializationError: These bytes are no container, or of another version of pymonik.
    """
    return _split(container, _decoder.decode)


def head_in(beginning: Buffer) -> Meta | None:
    """The head of a container of which only the beginning is there; ``None`` if that is too short.

    Raises:
        SerializationError: These bytes are no container, or of another version of pymonik.
    """
    view = memoryview(beginning).cast("B")
    if len(view) < _PRELUDE.size:
        return None
    magic, head_size, count = _PRELUDE.unpack_from(view)
    if magic != _MAGIC:
        raise SerializationError("these bytes were not written by pymonik")
    start = _PRELUDE.size + 8 * count
    if len(view) < start + head_size:
        return None
    try:
        return _decoder.decode(view[start : start + head_size])
    except _NO_HEAD as error:
        raise SerializationError(f"these bytes were not written by pymonik: {error}") from error


def split_payload(container: Buffer) -> tuple[PayloadMeta, Blobs]:
    """`split` for a payload. Calls that are alike have the same head, which is read once.

    Raises:
        SerializationError: These bytes are no payload, or of another version of pymonik.
    """
    meta, blobs = _split(container, _read_head)
    if not isinstance(meta, PayloadMeta):
        raise SerializationError("this task was not submitted by pymonik: its payload is no call")
    return meta, blobs


def _split(container: Buffer, read_head: Callable[[memoryview], Meta]) -> tuple[Meta, Blobs]:
    view = memoryview(container).cast("B")
    try:
        magic, head_size, count = _PRELUDE.unpack_from(view)
        if magic != _MAGIC:
            raise SerializationError("these bytes were not written by pymonik")
        sizes = struct.unpack_from(f"<{count}Q", view, _PRELUDE.size)
        position = _PRELUDE.size + 8 * count
        meta = read_head(view[position : position + head_size])
    except _NO_HEAD as error:
        raise SerializationError(f"these bytes were not written by pymonik: {error}") from error
    return meta, Blobs(view, position + head_size, sizes)


def _read_head(head: memoryview) -> Meta:
    return _known_head(_decoder, bytes(head)) if len(head) < _SHORT_HEAD else _decoder.decode(head)


@functools.lru_cache(maxsize=_KEPT_HEADS)
def _known_head(decoder: msgspec.msgpack.Decoder[_T], head: bytes) -> _T:
    """What stands in a head that may come again, byte by byte the same."""
    return decoder.decode(head)


def needs_of(payload: Buffer) -> PayloadNeeds | None:
    """What an executor must be for a payload; ``None`` if these bytes are none."""
    return _head_as(_needs_decoder, payload)


def label_of(payload: Buffer) -> PayloadLabel | None:
    """How the calls of a payload are called; ``None`` if these bytes are none."""
    return _head_as(_label_decoder, payload)


def _head_as(decoder: msgspec.msgpack.Decoder[_T], container: Buffer) -> _T | None:
    try:
        magic, head_size, count = _PRELUDE.unpack_from(container)
        if magic != _MAGIC:
            return None
        start = _PRELUDE.size + 8 * count
        head = memoryview(container)[start : start + head_size]
        if head_size >= _SHORT_HEAD:
            return decoder.decode(head)
        known: _T = _known_head(decoder, bytes(head))
        return known
    except _NO_HEAD:
        return None


def size_of(start: Buffer) -> int | None:
    """Bytes of the container that starts like this; ``None`` if it does not say."""
    view = memoryview(start).cast("B")
    if len(view) < _PRELUDE.size:
        return None
    magic, head_size, count = _PRELUDE.unpack_from(view)
    if magic != _MAGIC or len(view) < _PRELUDE.size + 8 * count:
        return None
    position = _PRELUDE.size + 8 * count + head_size
    sizes = struct.unpack_from(f"<{count}Q", view, _PRELUDE.size)
    return _starts(position, sizes)[1]
