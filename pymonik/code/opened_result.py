"""A result as it travels: one value, or the items of a chunk."""

from __future__ import annotations

import struct
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from pymonik.code.codec import unpack
from pymonik.code.outputs import Outputs
from pymonik.errors import SerializationError, UsageError
from pymonik.wire.call import (
    COMPLETED,
    JSON,
    ONE_BLOB,
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
    from collections.abc import Callable

    from pymonik.code.codec import Packed
    from pymonik.code.references import Reader
    from pymonik.wire.call import Figures, FileRef
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
        # The first blob is the pickle, the last one what the call has printed, if anything.
        return not self.meta.chunked and len(self._blobs) > 1 + self.meta.output

    def value(
        self,
        item: int = WHOLE,
        follow: Callable[[ResultRef], object] | None = None,
        reader: Reader | None = None,
        output: str = "",
    ) -> Any:
        """The whole (a list, if it is chunked) or one item of it.

        An item that failed is given as its `pymonik.wire.failure.Failure`.

        Args:
            item: Which.
            follow: Gives the value of another result, for an item that stands elsewhere.
            reader: Makes what is no pickle: files, and what commands gave.
            output: Of an item that is several, the name of the one that is wanted.

        Raises:
            UsageError: It has no such output.
        """
        if item >= 0 and not output and self.meta.chunked:
            return self._item(item, follow, reader)
        if output:
            return self._output_of(max(item, 0), output, follow, reader)
        if not self.meta.chunked:
            meta = self.meta.items[0]
            if meta.outputs:
                return self._outputs(meta, 0, follow, reader)
            if meta.files or meta.form:
                return self._read(0, reader)
            # The value uses the memory of the container: nothing else will be asked of it.
            return unpack(self._blobs if not self.meta.output else self._blobs[: meta.blobs])
        return [self._item(i, follow, reader) for i in range(len(self.meta.items))]

    def item(self, item: int) -> ItemMeta:
        """What is known of an item; a result that is no list has one."""
        return self.meta.items[max(item, 0)]

    def blobs_of(self, item: int) -> list[memoryview]:
        """The value of an item as it came, without files."""
        number = max(item, 0)
        meta, start = self.meta.items[number], self._firsts[number]
        # Small files stand among the blobs of their item, behind the value.
        own = sum(ref.blob >= 0 for ref in meta.files)
        return self._blobs.cut(start, start + meta.blobs - own)

    def needs(self, item: int, output: str = "") -> tuple[list[FileRef], list[ResultRef]]:
        """The files of an item, or of all, and the results in which outputs of it stand.

        Args:
            item: Which.
            output: Only what this one of its outputs needs.
        """
        files: list[FileRef] = []
        refs: list[ResultRef] = []
        chosen = [self.meta.items[item]] if item >= 0 else self.meta.items
        for one in chosen:
            found = [meta for name, meta in one.outputs if output in ("", name)]
            files += [file for meta in found for file in meta.files]
            refs += [meta.ref for meta in found if meta.ref is not None]
            if not output:
                files += one.files
        return files, refs

    def files(self, item: int, reader: Reader) -> dict[str, object]:
        """The files of an item, by name: those in its value, and its outputs."""
        number = max(item, 0)
        refs = self.meta.items[number].files
        return {
            name: reader.file(ref, self._bytes_of(number, ref))
            for name, ref in zip(self.file_names(item), refs, strict=True)
        }

    def file_names(self, item: int) -> list[str]:
        """The names of the files of an item, in order.

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
        if meta == ONE_BLOB:  # as most are
            return unpack((self._blobs[self._firsts[index]],))
        if meta.failed:
            return decode(self._blobs[self._firsts[index]])
        if meta.outputs:
            return self._outputs(meta, self._firsts[index], follow, reader)
        if meta.files or meta.form:
            return self._read(index, reader)
        if meta.blobs == 1:
            return unpack((self._blobs[self._firsts[index]],))
        if meta.ref is None:
            stream, *buffers = self._blobs.cut(self._firsts[index], self._firsts[index + 1])
            # The item may be asked for again, and arrays can be changed: buffers are copied.
            return unpack([stream, *map(bytearray, buffers)])
        if follow is None:
            raise SerializationError("an item stands in another result, which was not given")
        return follow(meta.ref)

    # -- several outputs ---------------------------------------------------------------------------

    def _outputs(
        self,
        meta: ItemMeta,
        first: int,
        follow: Callable[[ResultRef], object] | None,
        reader: Reader | None,
    ) -> Outputs:
        values: dict[str, Any] = {}
        for name, one in meta.outputs:
            values[name] = self._one_output(one, first, follow, reader)
            first += one.blobs
        return Outputs(**values)

    def _output_of(
        self,
        index: int,
        output: str,
        follow: Callable[[ResultRef], object] | None,
        reader: Reader | None,
    ) -> Any:
        meta, first = self.meta.items[index], self._firsts[index]
        if meta.failed:
            return decode(self._blobs[first])
        if meta.ref is not None and follow is not None:  # an item that stands elsewhere
            return follow(ResultRef(meta.ref.result_id, meta.ref.item, output))
        for name, one in meta.outputs:
            if name == output:
                return self._one_output(one, first, follow, reader)
            first += one.blobs
        known = ", ".join(name for name, _ in meta.outputs)
        raise UsageError(
            f"the call gave no output {output!r}: there are {known}"
            if known
            else f"the call gave no output {output!r}: it did not return Outputs({output}=...)"
        )

    def _one_output(
        self,
        meta: ItemMeta,
        first: int,
        follow: Callable[[ResultRef], object] | None,
        reader: Reader | None,
    ) -> Any:
        if meta.ref is not None:
            if follow is None:
                raise SerializationError("an output stands in another result, which is not here")
            return follow(meta.ref)
        # The others may be asked for too, and arrays can be changed.
        own = sum(file.blob >= 0 for file in meta.files)
        blobs = self._blobs.cut(first, first + meta.blobs)
        stream, *buffers = blobs[: meta.blobs - own]
        value: list[Buffer] = [stream, *map(bytearray, buffers)]
        if not meta.files:
            return unpack(value)
        if reader is None:
            raise SerializationError("an output with files in it can only be read by its session")

        def file(slot: int) -> object:
            ref = meta.files[slot]
            data = blobs[ref.blob] if ref.blob >= 0 else None if ref.size else b""
            return reader.file(ref, data)

        return unpack(value, file=file)

    def output(self, item: int = WHOLE) -> str:
        """The last that an item's call has printed; of the whole, that of all of them."""
        data, _, _ = self._printed(item)
        return bytes(data).decode("utf-8", "backslashreplace")

    def said(self, item: int = WHOLE) -> tuple[str, tuple[int, ...]]:
        """`output`, and which part of it went to which stream: see `pymonik.wire.streams`."""
        data, start, figures = self._printed(item)
        if figures is None or not figures.output_turns:
            return bytes(data).decode("utf-8", "backslashreplace"), ()
        from pymonik.wire.streams import as_text, cut  # few calls write to standard error

        turns = cut(_numbers(figures.output_turns), start, start + len(data))
        ends = [0, *accumulate(turns)]
        pieces = ((i % 2, bytes(data[ends[i] : ends[i + 1]])) for i in range(len(turns)))
        return as_text(pieces) if turns else (bytes(data).decode("utf-8", "backslashreplace"), ())

    def _printed(self, item: int) -> tuple[Buffer, int, Figures | None]:
        """What is kept of an item's output, where in that of all it begins, and figures."""
        if not self.meta.output or self.meta.figures is None:
            return b"", 0, None
        data: Buffer = self._blobs[-1]
        start = 0
        if self.meta.chunked and item >= 0:
            # Ends of the outputs, 8 bytes each, in one text of all calls. For the first one the
            # slice before it is empty, which is 0.
            stops = self.meta.figures.output_ends
            stop = int.from_bytes(stops[8 * item : 8 * item + 8], "little")
            start = int.from_bytes(stops[8 * item - 8 : 8 * item], "little")
            data = data[start:stop]
        return data, start, self.meta.figures


def _numbers(column: bytes) -> list[int]:
    """A column of uint32, as it stands in `Figures`."""
    return list(struct.unpack(f"<{len(column) // 4}I", column))
