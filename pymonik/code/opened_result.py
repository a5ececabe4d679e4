"""A result as it travels: one value, or the items of a chunk."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any

from pymonik.code.codec import unpack
from pymonik.errors import SerializationError
from pymonik.wire.call import (
    COMPLETED,
    JSON,
    PICKLED,
    WHOLE,
    ItemMeta,
    ResultMeta,
    ResultRef,
)
from pymonik.wire.command_lines import ran_decoder
from pymonik.wire.containers import join, split
from pymonik.wire.failure import decode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pymonik.code.codec import Packed
    from pymonik.code.references import Reader
    from pymonik.wire.call import FileRef
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
        return not self.meta.chunked and len(self._blobs) > 1 + self.meta.output

    def value(
        self,
        item: int = WHOLE,
        follow: Callable[[ResultRef], object] | None = None,
        reader: Reader | None = None,
    ) -> Any:
        """The whole (a list, if it is chunked) or one item of it.

        An item that failed is given as its `pymonik.wire.failure.Failure`.

        Args:
            item: Which.
            follow: Gives the value of another result, for an item that stands elsewhere.
            reader: Makes what is no pickle: files, and what commands gave.
        """
        if not self.meta.chunked:
            meta = self.meta.items[0]
            if meta.files or meta.form:
                return self._read(0, reader)
            return unpack(self._blobs if not self.meta.output else self._blobs[: meta.blobs])
        if item >= 0:
            return self._item(item, follow, reader)
        return [self._item(i, follow, reader) for i in range(len(self.meta.items))]

    def item(self, item: int) -> ItemMeta:
        """What is known of an item; a result that is no list has one."""
        return self.meta.items[max(item, 0)]

    def blobs_of(self, item: int) -> list[memoryview]:
        """The value of an item as it came, without files."""
        number = max(item, 0)
        meta, start = self.meta.items[number], self._firsts[number]
        own = sum(ref.blob >= 0 for ref in meta.files)
        return self._blobs.cut(start, start + meta.blobs - own)

    def files_of(self, item: int) -> Sequence[FileRef]:
        """Where the files of an item are, or those of all."""
        items = self.meta.items
        if item >= 0 or len(items) == 1:
            return items[max(item, 0)].files
        return [file for one in items for file in one.files]

    def files(self, item: int, reader: Reader) -> dict[str, object]:
        """The files of an item, by name: those in its value, and its outputs."""
        number = max(item, 0)
        refs = self.meta.items[number].files
        return {
            name: reader.file(ref, self._bytes_of(number, ref))
            for name, ref in zip(self.file_names(item), refs, strict=True)
        }

    def file_names(self, item: int) -> list[str]:
        """Of the files of an item, in order.

        The second ``x.txt`` is ``2/x.txt``, so that none gets lost.
        """
        names: dict[str, None] = {}
        for ref in self.meta.items[max(item, 0)].files:
            name, number = ref.name, 2
            while name in names:
                name, number = f"{number}/{ref.name}", number + 1
            names[name] = None
        return list(names)

    def _bytes_of(self, index: int, ref: FileRef) -> Buffer | None:
        if ref.blob >= 0:
            return self._blobs[self._firsts[index] + ref.blob]
        return None if ref.size else b""

    def _read(self, index: int, reader: Reader | None) -> Any:
        """An item with files in it, or one that is no pickle."""
        meta = self.meta.items[index]
        start = self._firsts[index]
        if meta.form == JSON:
            import json  # of handlers only: numbers of any length, NaN

            return json.loads(bytes(self._blobs[start]))
        if reader is None:
            raise SerializationError("a value with files in it can only be read by its session")
        if meta.form == COMPLETED:
            ran = ran_decoder.decode(self._blobs[start])
            return reader.completed(ran, self.files(index, reader))
        if meta.form != PICKLED:
            raise SerializationError(f"a value of form {meta.form} is of a later pymonik")
        stream, *buffers = self.blobs_of(index)
        refs = meta.files
        return unpack(
            [stream, *map(bytearray, buffers)],
            file=lambda slot: reader.file(refs[slot], self._bytes_of(index, refs[slot])),
        )

    def _item(
        self,
        index: int,
        follow: Callable[[ResultRef], object] | None,
        reader: Reader | None = None,
    ) -> Any:
        meta = self.meta.items[index]
        if meta.failed:
            return decode(self._blobs[self._firsts[index]])
        if meta.files or meta.form:
            return self._read(index, reader)
        if meta.blobs == 1:
            return unpack((self._blobs[self._firsts[index]],))
        if meta.ref is None:
            stream, *buffers = self._blobs.cut(self._firsts[index], self._firsts[index + 1])
            # Somebody else may ask for this item, and arrays can be changed.
            return unpack([stream, *map(bytearray, buffers)])
        if follow is None:
            raise SerializationError("an item stands in another result, which was not given")
        return follow(meta.ref)

    def output(self, item: int = WHOLE) -> str:
        """The last that an item's call has printed; of the whole, that of all of them."""
        if not self.meta.output or self.meta.figures is None:
            return ""
        data = self._blobs[-1]
        if self.meta.chunked and item >= 0:
            stops = self.meta.figures.output_ends
            stop = int.from_bytes(stops[8 * item : 8 * item + 8], "little")
            data = data[int.from_bytes(stops[8 * item - 8 : 8 * item], "little") : stop]
        return bytes(data).decode("utf-8", "backslashreplace")
