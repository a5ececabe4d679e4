"""What our clients and the embedded cluster agree on besides ArmoniK's API.

To any other control plane it means nothing, and other clients of the embedded cluster do not see
it: without it everything is as in ArmoniK, only slower.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import msgspec

# Metadata of GetEvents: the IDs of results that got the same status may come in one event,
# separated by spaces. An event costs both sides as much as a small task.
JOINED_EVENTS: Final = ("pymonik-joined-events", "1")

# A method of the direct socket only: a list of IDs of results in msgpack, and for each the data as
# bytes, or nil if they are not small. ArmoniK has a request for each result.
SMALL_DATA: Final = "/pymonik.Embedded/SmallData"


class DirectRequest(msgspec.Struct, frozen=True, array_like=True):
    """A request over the socket that stands beside gRPC's, for the program that has the cluster.

    Attributes:
        method: As gRPC writes it, ``/service/method``.
        message: Protobuf.
        metadata: Pairs, as gRPC has them.
        payloads: Of SubmitTasks: those of the tasks that name none, in their order.
    """

    method: str
    message: bytes
    metadata: list[tuple[str, str]] = []
    payloads: list[bytes] = []


class AnswerKind(IntEnum):
    """What comes over that socket."""

    MESSAGE = 0  # the answer to a request, or one of a stream
    UP = 1  # the stream is up
    END = 2  # of a stream, or of a request that failed


class DirectAnswer(msgspec.Struct, frozen=True, array_like=True):
    """Something that comes back.

    Attributes:
        message: Protobuf.
        kind: What it is.
        code: The number of gRPC's status, at the end.
        details: What went wrong.
    """

    message: bytes = b""
    kind: AnswerKind = AnswerKind.MESSAGE
    code: int = 0
    details: str = ""


small_data_decoder = msgspec.msgpack.Decoder(list[bytes | None])
request_decoder = msgspec.msgpack.Decoder(DirectRequest)
answer_decoder = msgspec.msgpack.Decoder(DirectAnswer)
