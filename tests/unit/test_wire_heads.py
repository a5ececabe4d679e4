"""What the head of a container must say of its writer, whoever reads it."""

from __future__ import annotations

import sys

import msgspec
import pytest

from pymonik.wire.call import FunctionMeta, FunctionRef, PayloadMeta

HEADS = [
    PayloadMeta(function=FunctionRef("content", "result", "name"), calls=()),
    FunctionMeta(name="name", blobs=1),
]


@pytest.mark.parametrize("head", HEADS, ids=lambda head: type(head).__name__)
def test_the_python_and_the_format_of_the_writer_are_written(head: msgspec.Struct) -> None:
    written = msgspec.msgpack.decode(msgspec.msgpack.encode(head))
    assert written["python"] == list(sys.version_info[:2])
    assert written["version"]
