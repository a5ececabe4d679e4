"""Values in and out of *containers*; only here and in `pymonik.code.arrivals` is unpickled.

The blobs of a container (see `pymonik.wire.containers`) are pickle-5 streams, each followed by its
out-of-band buffers. A handle inside a pickle is written as a slot number; the head says which
result fills the slot.
Whoever unpickles runs code of whoever pickled: containers come from people you trust.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import msgspec

from pymonik.code import arrivals, main_module
from pymonik.code.culprit import find_culprit
from pymonik.code.gathering import CannotDefineError, gather
from pymonik.code.pickler import Pickler, SharingPickler
from pymonik.code.references import Referable
from pymonik.errors import PymonikError, SerializationError
from pymonik.wire.call import (
    WHOLE,
    FunctionMeta,
    ItemMeta,
    ResultMeta,
    ResultRef,
)
from pymonik.wire.containers import INLINE_BUFFER, Buffer, join, split
from pymonik.wire.definitions import split_definitions, with_definitions
from pymonik.wire.failure import decode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pymonik.code.pickler import Place
    from pymonik.wire.definitions import Definition

_PICKLER = "pymonik.code.pickler"
_NO_MODULES: frozenset[str] = frozenset()
PLAIN = frozenset({int, float, str, bytes, bool, type(None), complex})


class Packed(msgspec.Struct, frozen=True, gc=False):
    """A pickled value: its stream, its buffers, and the handles found in it, slot by slot.

    Attributes:
        nbytes: Size of all blobs.
        modules: Those that travel as files and to which the pickle refers by name.
    """

    blobs: Sequence[Buffer]
    nbytes: int
    refs: Sequence[Referable] = ()
    modules: frozenset[str] = _NO_MODULES


@dataclass(frozen=True, slots=True)
class PackedFunction:
    """A function as it travels, known by the hash of its content; see `Packed` for ``modules``."""

    content_id: str
    name: str
    container: bytes
    modules: frozenset[str] = _NO_MODULES


# -- values ------------------------------------------------------------------------------------


def pack(value: object, *, label: str = "value", copy: bool = True) -> Packed:
    """Pickle ``value``.

    Args:
        value: Anything; handles in it, at any depth, become references.
        label: How the value is called in an error, such as ``"args"``.
        copy: Whether buffers of arrays are copied now, so that later changes do not show.

    Raises:
        SerializationError: It cannot be pickled; the message has the path to the culprit.
    """
    if type(value) in PLAIN:
        return _plain(value)
    return _packed(value, label, copy=copy)[0]


def pack_keeping(value: object) -> tuple[Packed, Pickler]:
    """`pack` without copies, and the pickler, whose memo has the objects of the pickle.

    Raises:
        SerializationError: It cannot be pickled.
    """
    return _packed(value, "value", copy=False)


def _packed(
    value: object, label: str, *, copy: bool, is_code: bool = False
) -> tuple[Packed, Pickler]:
    buffers: list[Buffer] = []
    pickler = Pickler(is_code=is_code, buffer_callback=_keep_in(buffers))
    return _packed_by(pickler, value, label, buffers, copy=copy), pickler


def _packed_by(
    pickler: Pickler, value: object, label: str, buffers: list[Buffer], *, copy: bool
) -> Packed:
    try:
        stream = pickler.stream(value)
        if pickler.is_code:
            pickler.need_classes_of_main()
        if pickler.needs:
            definitions = gather(pickler.needs, pickler.modules)
            stream = with_definitions(definitions, stream)
    except PymonikError:
        raise
    except CannotDefineError as error:
        part = f"{label} ({error.label})"
        raise _refusal(error.value, part, error.reason, is_code=True) from error.reason
    except Exception as error:
        raise _refusal(value, label, error, is_code=pickler.is_code) from error
    if copy:
        buffers = [bytes(buffer) for buffer in buffers]
    blobs = (stream, *buffers)
    size = sum(memoryview(blob).nbytes for blob in blobs)
    modules = frozenset(pickler.modules) if pickler.modules else _NO_MODULES
    return Packed(blobs, size, pickler.refs, modules)


def _refusal(
    value: object, label: str, error: BaseException, *, is_code: bool
) -> SerializationError:
    def is_good(part: object) -> bool:
        try:
            pickler = Pickler(is_code=is_code)
            pickler.stream(part)
            gather(pickler.needs)
        except Exception:  # noqa: BLE001 - of a user's __reduce__
            return False
        return True

    path, culprit = find_culprit(value, label, is_good)
    return SerializationError(f"{path} ({type(culprit).__name__}) cannot be pickled: {error}")


def _keep_in(buffers: list[Buffer]) -> Callable[[pickle.PickleBuffer], bool]:
    def keep(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes < INLINE_BUFFER:
            return True
        buffers.append(raw)
        return False

    return keep


def pack_if_possible(value: object) -> Packed | None:
    """`pack` without a word where it fails; buffers of arrays are not copied."""
    if type(value) in PLAIN:
        return _plain(value)
    buffers: list[Buffer] = []
    pickler = Pickler(buffer_callback=_keep_in(buffers))
    try:
        stream = pickler.stream(value)
        if pickler.needs:
            stream = with_definitions(gather(pickler.needs), stream)
    except BaseException:  # noqa: BLE001 - code of the user's
        return None
    blobs = (stream, *buffers)
    return Packed(blobs, sum(memoryview(blob).nbytes for blob in blobs), pickler.refs)


def _plain(value: object) -> Packed:
    """What needs no care: numbers, texts and tuples of them."""
    stream = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    return Packed((stream,), len(stream))


def pack_call(
    args: tuple[object, ...],
    kwargs: dict[str, object],
    shared: Mapping[int, Place] | None = None,
) -> Packed:
    """Pickle the arguments of one call; see `pack`.

    Args:
        args: By position.
        kwargs: By keyword.
        shared: Where values stand that were put already, by the values' addresses.
    """
    plain = not shared and PLAIN.issuperset(map(type, args))
    if plain and (not kwargs or PLAIN.issuperset(map(type, kwargs.values()))):
        return _plain((args, kwargs))
    try:
        if shared:
            buffers: list[Buffer] = []
            pickler = SharingPickler(shared, _keep_in(buffers))
            return _packed_by(pickler, (args, kwargs), "arguments", buffers, copy=True)
        return pack((args, kwargs))
    except SerializationError:
        for label, value in _labelled(args, kwargs):
            pack(value, label=label)  # raises for the one that is to blame
        raise


def _labelled(args: tuple[object, ...], kwargs: dict[str, object]) -> Iterable[tuple[str, object]]:
    yield from ((f"args[{i}]", value) for i, value in enumerate(args))
    yield from kwargs.items()


def unpack(blobs: Sequence[Buffer], slot: Callable[[int], object] | None = None) -> Any:
    """The value in ``blobs`` (a stream, then its buffers); ``slot`` gives what fills a reference.

    Raises:
        SerializationError: It cannot be unpickled here: a module is missing, for example.
    """
    try:
        stream = blobs[0]
        if stream[0] != pickle.PROTO[0]:
            definitions, stream = split_definitions(stream)
            arrivals.accept(definitions)
        if slot is None:
            if len(blobs) == 1:
                return pickle.loads(stream)
            return pickle.loads(stream, buffers=blobs[1:])
        return _Unpickler(stream, blobs[1:], slot).load()
    except PymonikError:
        raise
    except Exception as error:
        raise SerializationError(
            f"a value cannot be unpickled here: {type(error).__name__}: {error}"
        ) from error


class _Unpickler(pickle.Unpickler):
    def __init__(
        self,
        stream: Buffer,
        buffers: Sequence[Buffer],
        slot: Callable[[int], object] | None,
    ) -> None:
        super().__init__(io.BytesIO(stream), buffers=buffers)
        self._slot = slot

    def find_class(self, module: str, name: str) -> Any:
        if name == "_slot" and module == _PICKLER and self._slot is not None:
            return self._slot
        return super().find_class(module, name)

    def persistent_load(self, place: tuple[int, int | None]) -> object:
        """What stands for a value that was put elsewhere; see `SharingPickler`."""
        if self._slot is None:
            raise SerializationError("a value of this pickle stands elsewhere")
        number, index = place
        value: Any = self._slot(number)
        return value if index is None else value[index]


# -- functions ---------------------------------------------------------------------------------


def pack_function(function: object, name: str) -> PackedFunction:
    """Pickle a function (by value, unless its module travels as a file) and hash it.

    Raises:
        SerializationError: It refers to something that cannot be pickled.
    """
    packed, pickler = _packed(function, f"function {name!r}", copy=True, is_code=True)
    if packed.refs:
        raise SerializationError(
            f"function {name!r} refers to a handle from outside; pass the handle as an argument"
        )
    main = pickler.main_id
    meta = FunctionMeta(name=name, blobs=len(packed.blobs), main=main)
    container = join(meta, packed.blobs)
    digest = hashlib.sha256()
    for blob in packed.blobs:
        digest.update(blob)
    return PackedFunction(digest.hexdigest()[:32], name, b"".join(container), packed.modules)


class LoadedFunction:
    """A function as it was uploaded, with what has to be in place before each of its calls.

    Attributes:
        function: What was packed.
        nbytes: Size of the container.
    """

    def __init__(self, container: Buffer) -> None:
        """Load it.

        Raises:
            SerializationError: It cannot be unpickled here, or this is no function.
        """
        meta, blobs = split(container)
        if not isinstance(meta, FunctionMeta):
            raise SerializationError("this is not a function")
        self.nbytes = memoryview(container).nbytes
        self._main = meta.main
        self._accepted_at = -1
        self._definitions, stream = split_definitions(bytes(blobs[0]))
        self.put_in_place()
        self.function: Any = unpack((stream, *blobs[1:]))

    def put_in_place(self) -> None:
        """Let the program's ``__main__``, and classes by value, be as they were at its client."""
        if self._main:
            main_module.put_in_place(self._main)
        if self._definitions and self._accepted_at != arrivals.changes():
            accept(self._definitions)
            self._accepted_at = arrivals.changes()


def load_function(container: Buffer) -> Any:
    """The function in a container that `pack_function` made."""
    return LoadedFunction(container).function


def accept(definitions: Sequence[Definition]) -> None:
    """Make what these define, where it is not here or has changed.

    Raises:
        SerializationError: One of them cannot be unpickled here.
    """
    try:
        arrivals.accept(definitions)
    except PymonikError:
        raise
    except Exception as error:
        raise SerializationError(
            f"code cannot be unpickled here: {type(error).__name__}: {error}"
        ) from error


# -- results -----------------------------------------------------------------------------------


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


# -- in one piece --------------------------------------------------------------------------------


def dumps(value: object) -> bytes:
    """A value without handles as one piece of bytes.

    Raises:
        Exception: It cannot be pickled; whatever its ``__reduce__`` raises.
    """
    pickler = Pickler()
    stream = pickler.stream(value)
    return with_definitions(gather(pickler.needs), stream)


def loads(data: Buffer) -> Any:
    """The inverse of `dumps`.

    Raises:
        Exception: It cannot be unpickled here.
    """
    definitions, stream = split_definitions(data)
    arrivals.accept(definitions)
    return _Unpickler(stream, (), None).load()
