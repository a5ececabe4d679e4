"""Frames on a socket: a mark, a length, then msgpack.

The mark tells garbage at once: user code may write to a descriptor that is not its own, and any
program of the user may connect to a socket. Without it such bytes would be a length, and all that
comes after them would be waited for in vain.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, TypeVar

import msgspec

if TYPE_CHECKING:
    import socket

T = TypeVar("T")

_HEAD = struct.Struct("<4sQ")  # the mark, and the length of the body
_MARK = b"\xc1pmk"  # 0xc1 begins no value of msgpack, nor UTF-8
_MOST_BYTES = 1 << 31  # of a frame; large data lie in files, so a larger one is garbage
_CHUNK = 1 << 16  # bytes read at once; for larger blocks the allocator asks the system each time

_encode = msgspec.msgpack.Encoder().encode


def framed(message: msgspec.Struct) -> bytes:
    """``message`` as it goes over the socket."""
    body = _encode(message)
    return _HEAD.pack(_MARK, len(body)) + body


class FramingError(msgspec.DecodeError):
    """What came is no frame: whoever sent it is not to be listened to any longer."""


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
        except ConnectionError:  # the other side was killed with bytes of ours unread
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
        """The next frame, if it is complete.

        Raises:
            FramingError: It is none, or not one that the decoder knows.
        """
        # As soon as a byte differs, though the head is not complete: what follows garbage may never
        # come.
        if not _MARK.startswith(self._buffer[:4]) and self._buffer[:4] != _MARK:
            raise FramingError("what came on a socket is no frame")
        if len(self._buffer) < _HEAD.size:
            return None
        _, length = _HEAD.unpack_from(self._buffer)
        if length > _MOST_BYTES:
            raise FramingError(f"a frame on a socket says that it has {length} bytes")
        end = _HEAD.size + length
        if len(self._buffer) < end:
            return None
        body = bytes(memoryview(self._buffer)[_HEAD.size : end])
        del self._buffer[:end]
        try:
            return decoder.decode(body)
        except (msgspec.DecodeError, RecursionError) as error:
            raise FramingError(f"what came on a socket is not understood: {error}") from error
