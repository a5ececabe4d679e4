"""Definitions: code that travels by value, each piece once, beside the pickle that refers to it.

::

    0x01 | u32 size | definitions (msgpack) | pickle

A blob that needs no definition is a pickle alone, whose first byte is 0x80.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import msgspec

from pymonik.errors import SerializationError

if TYPE_CHECKING:
    from collections.abc import Sequence

Bytes = bytes | bytearray | memoryview

_MARK = 1
_PRELUDE = struct.Struct("<BI")


class Definition(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A class, or a name of the program's ``__main__``.

    Attributes:
        key: What pickles refer to it by; see `pymonik.code.gathering`.
        digest: Of the stream. A process that holds the same key with the same digest leaves what
            it holds as it is.
        stream: A pickle.
        needs: Keys of the definitions that the stream, or code in it, refers to.
        first: Keys of classes without which a class cannot be made, such as its bases. What they
            hold may refer to the class itself.
    """

    key: str
    digest: bytes
    stream: bytes
    needs: tuple[str, ...] = ()
    first: tuple[str, ...] = ()


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Definition])


def with_definitions(definitions: Sequence[Definition], stream: bytes) -> bytes:
    """The blob of a pickle that refers to these definitions."""
    if not definitions:
        return stream
    head = _encoder.encode(definitions)
    return b"".join((_PRELUDE.pack(_MARK, len(head)), head, stream))


def split_definitions(blob: Bytes) -> tuple[list[Definition], Bytes]:
    """The definitions in front of a pickle, and the pickle.

    Raises:
        SerializationError: The blob is damaged.
    """
    view = memoryview(blob)
    if not len(view) or view[0] != _MARK:
        return [], blob
    try:
        _, size = _PRELUDE.unpack_from(view)
        head = view[_PRELUDE.size : _PRELUDE.size + size]
        return _decoder.decode(head), view[_PRELUDE.size + size :]
    except (struct.error, msgspec.MsgspecError) as error:
        raise SerializationError("the definitions of a pickle are damaged") from error
