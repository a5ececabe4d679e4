"""What our clients and the embedded cluster agree on besides ArmoniK's API.

To any other control plane it means nothing, and other clients of the embedded cluster do not see
it: without it everything is as in ArmoniK, only slower.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import msgspec

# Methods of the direct socket, in msgpack, for which ArmoniK has a message or request a result.

# IDs of results; for each the data, or nil if they are not small.
SMALL_DATA: Final = "/pymonik.Embedded/SmallData"
# The ID of a session; a stream of lists of `Ended`, as its results end.
RESULTS: Final = "/pymonik.Embedded/Results"


# Statuses of results, as in ArmoniK's messages.
COMPLETED: Final = 2
ABORTED: Final = 3
DELETED: Final = 4


# ``gc=False``, as millions of them may be on their way and none refers to another object.
class Ended(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A result got a status that is final, or may be.

    Attributes:
        result_id: Of the result.
        status: As in ArmoniK's messages.
        data: Where they are so small that they need not be asked for.
        name: Of a result that tells of a task while it runs; see `pymonik.wire.live`.
    """

    result_id: str
    status: int
    data: bytes | None = None
    name: str = ""


# Among the metadata of SubmitTasks: payloads stay when their tasks have ended, for they may be run
# again by another program.
KEEPS_PAYLOADS: Final = ("keeps-payloads", "1")


class DirectRequest(msgspec.Struct, frozen=True, array_like=True):
    """A request over the socket that stands beside gRPC's, for the program that has the cluster.

    Attributes:
        method: As gRPC writes it, ``/service/method``.
        message: Protobuf.
        metadata: Pairs, as gRPC has them.
        payloads: Of SubmitTasks: those of the tasks that name none, in their order. Whoever
            submits here gives each task a payload of its own, which is deleted when the task ends;
            see `KEEPS_PAYLOADS`.
        outputs: Of SubmitTasks: a name for each task, whose expected output is created with it and
            has the id that the client made, unless it exists.
    """

    method: str
    message: bytes
    metadata: list[tuple[str, str]] = []
    payloads: list[bytes] = []
    outputs: list[str] = []


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


ended_decoder = msgspec.msgpack.Decoder(list[Ended])
small_data_decoder = msgspec.msgpack.Decoder(list[bytes | None])
request_decoder = msgspec.msgpack.Decoder(DirectRequest)
answer_decoder = msgspec.msgpack.Decoder(DirectAnswer)
