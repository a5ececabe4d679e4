"""A result as it travels: one value, or the items of a chunk."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any

from pymonik.code.codec import unpack
from pymonik.errors import SerializationError
from pymonik.wire.call import WHOLE, ItemMeta, ResultMeta, ResultRef
from pymonik.wire.containers import join, split
from pymonik.wire.failure import decode

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymonik.code.codec import Packed
    from pymonik.wire.containers import Buffer


def join_value(packed: Packed, *, seconds: float = 0.0) -> list[Buffer]:
    """The segments of a result that holds one value."""
    meta = ResultMeta(items=(ItemMeta(len(packed.blobs)),), seconds=seconds)
    return join(meta, packed.blobs)


class OpenedResult:
    """A result whose head was read; its values are unpickled when somebody asks.

    Attributes:
        meta: What it holds.
        nbytes: Size of the container, in bytes.
    """

    __slots__ = ("_blobs", "_firsts", "meta", "nbytes")

    def __init__(self, container: Buffer) -> None:
        """Read the head.

        Raises:
            SerializationError: This is no result.
        """
        meta, self._blobs = split(container)
        if not isinstance(meta, ResultMeta):
            raise SerializationError("this is not a result of pymonik")
        self.meta = meta
        self.nbytes = memoryview(container).nbytes
        self._firsts = [0, *accumulate(item.blobs for item in meta.items)]

    @property
    def has_buffers(self) -> bool:
        """Whether its value uses the memory of the container."""
        return not self.meta.chunked and len(self._blobs) > 1

    def value(self, item: int = WHOLE, follow: Callable[[ResultRef], object] | None = None) -> Any:
        """The whole (a list, if it is chunked) or one item of it.

        An item that failed is given as its `pymonik.wire.failure.Failure`. ``follow`` gives the
        value of another result, for an item that stands elsewhere.
        """
        if not self.meta.chunked:
            return unpack(self._blobs)
        if item >= 0:
            return self._item(item, follow)
        return [self._item(i, follow) for i in range(len(self.meta.items))]

    def _item(self, index: int, follow: Callable[[ResultRef], object] | None) -> Any:
        meta = self.meta.items[index]
        if meta.failed:
            return decode(self._blobs[self._firsts[index]])
        if meta.blobs == 1:
            return unpack((self._blobs[self._firsts[index]],))
        if meta.ref is None:
            stream, *buffers = self._blobs.cut(self._firsts[index], self._firsts[index + 1])
            # Somebody else may ask for this item, and arrays can be changed.
            return unpack([stream, *map(bytearray, buffers)])
        if follow is None:
            raise SerializationError("an item stands in another result, which was not given")
        return follow(meta.ref)
