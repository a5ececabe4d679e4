"""What travels: the values that client, worker and executor hand to each other.

A *container* (see `pymonik.core.codec`) holds one of the structs below and the pickles that it
describes. Ids stand in the struct, never inside a pickle, so that whoever submits can fill them in
when it knows them.

Structs that come in thousands are not tracked by the garbage collector (``gc=False``): they hold
nothing that could refer to them.
"""

from __future__ import annotations

import sys
from typing import Final

import msgspec

from pymonik.core.environment import Environment

FORMAT_VERSION: Final = 1
WHOLE: Final = -1  # the item of a reference that means the whole result
MOST_CALLS: Final = 4096  # of a chunk: a pipe of any system holds as many bytes
NEW: Final = "new:"  # starts the stand-in for the id of a result that a task creates
FUNCTION_LABEL: Final = "pymonik.function"  # the option that tells which function a task runs


def _python() -> tuple[int, int]:
    # From a factory, not a default: a default is omitted, and the reader would fill in its own.
    return sys.version_info[:2]


def _format() -> int:
    return FORMAT_VERSION


class ResultRef(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Stands in a payload for the value of a result, which may not exist yet."""

    result_id: str
    item: int = WHOLE


class FunctionRef(msgspec.Struct, frozen=True):
    """A function: known by its content, shipped as a data dependency."""

    content_id: str
    result_id: str
    name: str


class CallMeta(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One call: how many blobs it has (a pickle, then its buffers), and what it refers to."""

    blobs: int
    refs: tuple[ResultRef, ...] = ()


class PayloadMeta(msgspec.Struct, frozen=True, kw_only=True, tag="payload", omit_defaults=True):
    """The head of a task's payload: one function and one call or more.

    Attributes:
        python: Version of the client's Python: functions by value do not cross minor versions.
        functions: What else of the session is already uploaded: content id to result id.
        chunked: The result holds a list of items, even of one.
        earlier: Attempts at the call before this task: it was one of a chunk then.
    """

    function: FunctionRef
    calls: tuple[CallMeta, ...]
    environment: Environment = Environment()
    functions: dict[str, str] = msgspec.field(default_factory=dict)
    chunked: bool = False
    earlier: int = 0
    python: tuple[int, int] = msgspec.field(default_factory=_python)
    version: int = msgspec.field(default_factory=_format)


class PayloadNeeds(msgspec.Struct, frozen=True, tag="payload"):
    """The part of the same that says which executor can run it; the rest is passed over."""

    environment: Environment = Environment()
    chunked: bool = False


class ItemMeta(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One value of a result: its blobs, or the failure that stands in its place."""

    blobs: int
    failed: bool = False  # the value is a `Failure`
    ref: ResultRef | None = None  # the value is that of another result


class ResultMeta(msgspec.Struct, frozen=True, kw_only=True, tag="result", omit_defaults=True):
    """The head of a result: one value, or the items of a chunk.

    Attributes:
        seconds: How long the calls took that ran for it; 0 for data.
    """

    items: tuple[ItemMeta, ...]
    chunked: bool = False
    seconds: float = 0.0
    python: tuple[int, int] = msgspec.field(default_factory=_python)
    version: int = msgspec.field(default_factory=_format)


class FunctionMeta(msgspec.Struct, frozen=True, kw_only=True, tag="function"):
    """The head of an uploaded function."""

    name: str
    blobs: int
    python: tuple[int, int] = msgspec.field(default_factory=_python)
    version: int = msgspec.field(default_factory=_format)


Meta = PayloadMeta | ResultMeta | FunctionMeta


def result_ids(meta: PayloadMeta) -> list[str]:
    """Every result that the payload needs, in order, each once: its data dependencies."""
    refs = [ref.result_id for call in meta.calls for ref in call.refs]
    return list(dict.fromkeys([meta.function.result_id, *refs]))


def rebound(meta: PayloadMeta, ids: dict[str, str]) -> PayloadMeta:
    """``meta`` with each stand-in replaced by the id that it got."""

    def real(result_id: str) -> str:
        return ids.get(result_id, result_id)

    def call(old: CallMeta) -> CallMeta:
        return CallMeta(old.blobs, tuple(ResultRef(real(r.result_id), r.item) for r in old.refs))

    function = FunctionRef(
        meta.function.content_id, real(meta.function.result_id), meta.function.name
    )
    return msgspec.structs.replace(
        meta,
        function=function,
        calls=tuple(call(old) for old in meta.calls),
        functions={content: real(result_id) for content, result_id in meta.functions.items()},
    )
