"""Frames on a socket: a length, then msgpack."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, TypeVar

import msgspec

if TYPE_CHECKING:
    import socket

T = TypeVar("T")

_LENGTH = struct.Struct("<Q")
_CHUNK = 1 << 16  # bytes read at once; the allocator maps larger blocks anew each time

_encode = msgspec.msgpack.Encoder().encode


def framed(message: msgspec.Struct) -> bytes:
    """``message`` as it goes over the socket."""
    body = _encode(message)
    return _LENGTH.pack(len(body)) + body


class Inbox:
    """Cuts what arrives on a socket into frames; works on blocking and other sockets alike."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._buffer = bytearray()

    def pump(self) -> bool:
        """Read once; ``False`` when the other side is gone.

        Raises:
            BlockingIOError: Nothing is there, on a socket that does not block.
            TimeoutError: Nothing came in the time that was set for the socket.
        """
        try:
            data = self._socket.recv(_CHUNK)
        except ConnectionError:
            return False
        self._buffer += data
        return bool(data)

    def wait(self, decoder: msgspec.msgpack.Decoder[T]) -> T | None:
        """The next frame, on a socket that blocks; ``None`` when the other side is gone."""
        while (frame := self.take(decoder)) is None:
            if not self.pump():
                return None
        return frame

    def has_some(self) -> bool:
        """Whether something was read that nobody took."""
        return bool(self._buffer)

    def take(self, decoder: msgspec.msgpack.Decoder[T]) -> T | None:
        """The next frame, if it is complete."""
        if len(self._buffer) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._buffer)
        end = _LENGTH.size + length
        if len(self._buffer) < end:
            return None
        body = bytes(memoryview(self._buffer)[_LENGTH.size : end])
        del self._buffer[:end]
        return decoder.decode(body)
