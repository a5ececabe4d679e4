"""What comes on a socket and is no frame is refused at once, and not waited for."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

import msgspec
import pytest

from pymonik.executor.channel import order_decoder
from pymonik.executor.frames import HandedOver
from pymonik.wire.framing import FramingError, Inbox, framed

if TYPE_CHECKING:
    from collections.abc import Iterator

Pair = tuple[Inbox, socket.socket]
GOOD = framed(HandedOver(items=[]))
NESTED = b"\x91" * 100_000 + b"\xc0"  # arrays of one array


def headed(body: bytes, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return GOOD[:4] + struct.pack("<Q", size) + body


def take_all(inbox: Inbox) -> None:
    while inbox.pump():
        inbox.take(order_decoder)


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    with ours, theirs:
        yield Inbox(ours), theirs


@pytest.mark.parametrize(
    "data",
    [
        b"hello\n",
        b"\0" * 50,
        b"G",
        headed(b"", 1 << 60),
        headed(b"\xc1\xc1"),
        headed(msgspec.msgpack.encode({"type": "no such message"})),
        headed(NESTED),
    ],
)
def test_garbage_is_an_error(pair: Pair, data: bytes) -> None:
    inbox, theirs = pair
    theirs.sendall(data)
    with pytest.raises(FramingError):
        take_all(inbox)


def test_a_frame_before_garbage_counts(pair: Pair) -> None:
    inbox, theirs = pair
    theirs.sendall(GOOD + b"junk")
    assert inbox.pump()
    assert inbox.take(order_decoder) == HandedOver(items=[])
    with pytest.raises(FramingError):
        inbox.take(order_decoder)


def test_the_first_byte_of_a_frame_is_waited_with(pair: Pair) -> None:
    inbox, theirs = pair
    theirs.sendall(GOOD[:3])
    assert inbox.pump()
    assert inbox.take(order_decoder) is None
