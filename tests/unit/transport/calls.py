"""Calls and results as the transport has them, without any session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from pymonik.code import codec
from pymonik.code.failure import Failure
from pymonik.code.references import Referable
from pymonik.session.protocol import Submission
from pymonik.session.result import ResultState
from pymonik.transport.chunks import ChunkState
from pymonik.wire import containers
from pymonik.wire.call import ItemMeta, ResultMeta, ResultRef

if TYPE_CHECKING:
    from collections.abc import Sequence

WAIT_S = 10.0
FUNCTION = codec.PackedFunction("id", "f", b"")
NOWHERE = cast("Any", None)  # the session of states


class Handle(Referable):
    """As little of a handle as the codec needs."""

    def __init__(self, state: ResultState) -> None:
        self._state = state


def state(result_id: str | None = None, item: int = -1) -> ResultState:
    return ResultState(NOWHERE, "f", result_id, item)


def states(count: int) -> list[ResultState]:
    return [state() for _ in range(count)]


def call(*needed: ResultState, nbytes: int = 0) -> codec.Packed:
    return codec.pack_call((bytes(nbytes), *map(Handle, needed)), {})


def submission(calls: Sequence[codec.Packed]) -> Submission:
    return Submission(FUNCTION, calls)


def chunk(items: Sequence[ResultState], result_id: str = "whole") -> ChunkState:
    """The state of a result that holds ``items``."""
    whole = ChunkState(NOWHERE, "f", result_id)
    whole.items = items
    for number, item in enumerate(items):
        item.result_id, item.item, item.whole = result_id, number, whole
    return whole


def result(*values: object, seconds: float = 1.0) -> codec.OpenedResult:
    """A result of several calls: values, failures, or references to where the values stand."""
    items: list[ItemMeta] = []
    blobs: list[containers.Buffer] = []
    for value in values:
        if isinstance(value, ResultRef):
            items.append(ItemMeta(0, ref=value))
            continue
        packed = codec.pack(value)
        items.append(ItemMeta(len(packed.blobs), failed=isinstance(value, Failure)))
        blobs += packed.blobs
    meta = ResultMeta(items=tuple(items), chunked=True, seconds=seconds)
    return codec.OpenedResult(b"".join(containers.join(meta, blobs)))
