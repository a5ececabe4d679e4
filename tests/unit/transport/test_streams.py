"""Messages of data: what protobuf makes of them, byte for byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from armonik.protogen.common.results_common_pb2 import (
    DownloadResultDataResponse,
    UploadResultDataRequest,
)

from pymonik.code import codec, opened_result
from pymonik.errors import SerializationError
from pymonik.transport import streams
from pymonik.wire import containers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymonik.wire.containers import Buffer

SIZES = [1, 127, 128, 300, 16_383, 16_384, 2 << 20]


def read(field: int, message: bytes) -> bytes | None:
    data = streams.decode(field, message)
    return None if data is None else bytes(data)


@pytest.mark.parametrize("size", SIZES)
def test_messages_are_those_of_protobuf(size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    parts: list[Buffer] = [data[: size // 3], memoryview(data)[size // 3 : size]]
    up = UploadResultDataRequest(data_chunk=data[:size]).SerializeToString()
    down = DownloadResultDataResponse(data_chunk=data[:size]).SerializeToString()
    assert streams.encode(streams.UPLOAD_FIELD, parts) == up
    assert streams.encode(streams.DOWNLOAD_FIELD, parts) == down
    assert read(streams.UPLOAD_FIELD, up) == data[:size]
    assert read(streams.DOWNLOAD_FIELD, down) == data[:size]


def test_an_empty_chunk_is_a_message_too() -> None:
    message = streams.encode(streams.UPLOAD_FIELD, [])
    assert UploadResultDataRequest.FromString(message).WhichOneof("type") == "data_chunk"
    assert read(streams.UPLOAD_FIELD, message) == b""


@pytest.mark.parametrize("size", [0, *SIZES])
def test_messages_of_another_form_are_not_read(size: int) -> None:
    message = streams.encode(streams.UPLOAD_FIELD, [bytes(size)])
    identity = UploadResultDataRequest.ResultIdentifier(session_id="s", result_id="r")
    others = [
        b"",
        message[:1],
        message[:-1],
        message + b"x",
        b"\x12" + b"\xff" * 20,
        UploadResultDataRequest(id=identity).SerializeToString(),
    ]
    assert [streams.decode(streams.UPLOAD_FIELD, one) for one in others] == [None] * 6
    assert streams.decode(streams.DOWNLOAD_FIELD, message) is None


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


@pytest.mark.parametrize("size", [10, 100_000, 5_000_000])
@pytest.mark.parametrize("piece", [7, 1000, 2 << 20])
def test_pieces_of_a_container_are_put_together(size: int, piece: int) -> None:
    piece = max(piece, size // 1000)
    data = b"".join(opened_result.join_value(codec.pack(bytearray(b"x" * size))))
    assert containers.size_of(data) == len(data)
    gathered = streams.gather(pieces(data, piece))
    assert gathered == data
    gathered[:1] = b"!"


def test_what_is_no_container_is_put_together_too() -> None:
    for data in (b"", b"abc", b"no container" * 10):
        assert containers.size_of(data) is None
        assert streams.gather(pieces(data, 5)) == data


def test_a_container_that_is_cut_is_as_long_as_what_came() -> None:
    data = b"".join(opened_result.join_value(codec.pack(bytearray(5_000_000))))[:4_500_000]
    assert streams.gather(pieces(data, 1_000_000)) == data


def test_a_container_that_does_not_end_is_refused() -> None:
    data = b"".join(opened_result.join_value(codec.pack(bytearray(5_000_000))))
    with pytest.raises(SerializationError, match="after its end"):
        streams.gather(pieces(data + b"x", 1_000_000))
