"""What our clients and the embedded cluster agree on besides ArmoniK's API.

To any other control plane it means nothing, and other clients of the embedded cluster do not see
it: without it everything is as in ArmoniK, only slower.
"""

from __future__ import annotations

from typing import Final

import msgspec

# Metadata of GetEvents: the IDs of results that got the same status may come in one event,
# separated by spaces. An event costs both sides as much as a small task.
JOINED_EVENTS: Final = ("pymonik-joined-events", "1")

# Metadata of CreateResults: clients will hardly read these data, so they need not be files.
DATA_FOR_WORKERS: Final = ("pymonik-data-for", "workers")

# A file in the folder of the object storage says: when a task is submitted whose payload has no
# data, the object that has the ID of the payload for its name is taken. A call alone then costs
# one request instead of two.
PAYLOADS_ARE_FOUND: Final = ".payloads-are-found"


class DirectRequest(msgspec.Struct, frozen=True, array_like=True):
    """A request over the socket that stands beside gRPC's, for the program that has the cluster.

    Attributes:
        method: As gRPC writes it, ``/service/method``.
        message: Protobuf.
        metadata: Pairs, as gRPC has them.
    """

    method: str
    message: bytes
    metadata: list[tuple[str, str]] = []


class DirectAnswer(msgspec.Struct, frozen=True, array_like=True):
    """The answer, or one of a stream, whose first is empty and says that the stream is up.

    Attributes:
        message: Protobuf.
        code: The number of gRPC's status.
        details: What went wrong.
        is_last: Nothing comes after it, and it has no message.
    """

    message: bytes = b""
    code: int = 0
    details: str = ""
    is_last: bool = False


request_decoder = msgspec.msgpack.Decoder(DirectRequest)
answer_decoder = msgspec.msgpack.Decoder(DirectAnswer)
