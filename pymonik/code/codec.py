"""Values in and out of *containers*; only here and in `pymonik.code.arrivals` is unpickled.

The blobs of a container (see `pymonik.wire.containers`) are pickle-5 streams, each followed by its
out-of-band buffers. A handle inside a pickle is written as a slot number; the head says which
result fills the slot.
Whoever unpickles runs code of whoever pickled: containers come from people you trust.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pymonik.code import arrivals
from pymonik.code.culprit import find_culprit, hint_for
from pymonik.code.gathering import CannotDefineError, gather
from pymonik.code.pickler import Pickler, SharingPickler
from pymonik.code.references import Referable, Sealed
from pymonik.errors import PymonikError, SerializationError
from pymonik.seeds import Seed
from pymonik.wire.containers import INLINE_BUFFER, Buffer
from pymonik.wire.definitions import split_definitions, with_definitions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pymonik.code.pickler import Place
    from pymonik.wire.definitions import Definition

_PICKLER = "pymonik.code.pickler"
NO_MODULES: Final[frozenset[str]] = frozenset()
PLAIN = frozenset({int, float, str, bytes, bool, type(None), complex})


class Packed(msgspec.Struct, frozen=True, gc=False):
    """A pickled value: its stream, its buffers, and the handles found in it, slot by slot.

    Attributes:
        nbytes: Size of all blobs.
        files: Those found in it, slot by slot.
        modules: Those that travel as files and to which the pickle refers by name.
        compiled: The name of code in it that only this minor version of Python can run; ``""``
            where there is none.
        digest: Of the value, where somebody compares it with others; see `pymonik.cache`.
        trace: Of a call that is followed: the context of its span, see `pymonik.tracing`.
    """

    blobs: Sequence[Buffer]
    nbytes: int
    refs: Sequence[Referable] = ()
    modules: frozenset[str] = NO_MODULES
    compiled: str = ""
    digest: bytes = b""
    files: Sequence[Sealed] = ()
    trace: dict[str, str] | None = None


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


def pack_code(function: object, label: str) -> tuple[Packed, Pickler]:
    """`pack` for what is called, with the classes of ``__main__`` that it may look for by name.

    Raises:
        SerializationError: It cannot be pickled.
    """
    return _packed(function, label, copy=True, is_code=True)


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
            definitions = gather(pickler)
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
    modules = frozenset(pickler.modules) if pickler.modules else NO_MODULES
    return Packed(blobs, size, pickler.refs, modules, pickler.compiled, files=pickler.files)


def _refusal(
    value: object, label: str, error: BaseException, *, is_code: bool
) -> SerializationError:
    def is_good(part: object) -> bool:
        try:
            pickler = Pickler(is_code=is_code)
            pickler.stream(part)
            gather(pickler)
        except Exception:  # noqa: BLE001 - of a user's __reduce__
            return False
        return True

    path, culprit = find_culprit(value, label, is_good)
    what = f"{path} ({type(culprit).__name__})"
    if isinstance(error, OSError):  # a `File` that is not there: nothing is wrong with its kind
        return SerializationError(f"{what} cannot be sent: {error}")
    hint = "" if label.startswith("result") else hint_for(culprit)
    return SerializationError(f"{what} cannot be pickled: {error}{hint}")


def _keep_in(buffers: list[Buffer]) -> Callable[[pickle.PickleBuffer], bool]:
    def keep(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        # Small buffers stay in the stream: a blob of its own costs more.
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
            stream = with_definitions(gather(pickler), stream)
    except BaseException:  # noqa: BLE001 - code of the user's
        return None
    blobs = (stream, *buffers)
    if pickler.files:
        return None  # the bytes of files would be elsewhere
    return Packed(blobs, sum(memoryview(blob).nbytes for blob in blobs), pickler.refs)


def plain(value: object) -> bytes:
    """The stream of a value whose type is in `PLAIN`, which needs no care."""
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


def _plain(value: object) -> Packed:
    """What needs no care: numbers, texts and tuples of them."""
    stream = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    return Packed((stream,), len(stream))


def pack_call(
    args: tuple[object, ...],
    kwargs: dict[str, object],
    shared: Mapping[int, Place] | None = None,
    seed: tuple[int, int] | None = None,
) -> Packed:
    """Pickle the arguments of one call; see `pack` and `arguments_of`.

    Args:
        args: By position.
        kwargs: By keyword.
        shared: Where values stand that were put already, by the values' addresses.
        seed: Of the call's random numbers.
    """
    call: tuple[object, ...] = (args, kwargs) if seed is None else (args, kwargs, tuple(seed))
    is_plain = not shared and PLAIN.issuperset(map(type, args))
    if is_plain and (not kwargs or PLAIN.issuperset(map(type, kwargs.values()))):
        return _plain(call)
    try:
        if shared:
            buffers: list[Buffer] = []
            pickler = SharingPickler(shared, _keep_in(buffers))
            return _packed_by(pickler, call, "arguments", buffers, copy=True)
        return pack(call)
    except SerializationError:
        # Each argument alone, for the label in the message: the first that cannot be packed raises
        # here.
        for label, value in _labelled(args, kwargs):
            pack(value, label=label)
        raise


def arguments_of(call: tuple[Any, ...]) -> tuple[tuple[Any, ...], dict[str, Any], Seed | None]:
    """Positional and keyword arguments and the seed in what `pack_call` pickled."""
    if len(call) == 2:
        return *call, None
    args, kwargs, seed = call
    return args, kwargs, Seed(*seed)


def _labelled(args: tuple[object, ...], kwargs: dict[str, object]) -> Iterable[tuple[str, object]]:
    yield from ((f"args[{i}]", value) for i, value in enumerate(args))
    yield from kwargs.items()


def unpack(
    blobs: Sequence[Buffer],
    slot: Callable[[int], object] | None = None,
    file: Callable[[int], object] | None = None,
) -> Any:
    """The value in ``blobs``: a stream, then its buffers.

    Args:
        blobs: Of the value.
        slot: Gives what fills a reference.
        file: Gives the files in it.

    Raises:
        SerializationError: It cannot be unpickled here: a module is missing, for example.
    """
    try:
        stream = blobs[0]
        # A pickle begins with the opcode PROTO; anything else is a list of definitions in front of
        # one.
        if stream[0] != pickle.PROTO[0]:
            definitions, stream = split_definitions(stream)
            arrivals.accept(definitions)
        if slot is None and file is None:
            if len(blobs) == 1:
                return pickle.loads(stream)
            return pickle.loads(stream, buffers=blobs[1:])
        return _Unpickler(stream, blobs[1:], slot, file).load()
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
        file: Callable[[int], object] | None = None,
    ) -> None:
        super().__init__(io.BytesIO(stream), buffers=buffers)
        self._slot = slot
        self._file = file

    def find_class(self, module: str, name: str) -> Any:
        if name == "_slot" and module == _PICKLER and self._slot is not None:
            return self._slot
        if name == "_file" and module == _PICKLER and self._file is not None:
            return self._file
        return super().find_class(module, name)

    def persistent_load(self, place: tuple[int, int | None]) -> object:
        """What stands for a value that was put elsewhere; see `SharingPickler`."""
        if self._slot is None:
            raise SerializationError("a value of this pickle stands elsewhere")
        number, index = place
        value: Any = self._slot(number)
        return value if index is None else value[index]


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


# -- in one piece --------------------------------------------------------------------------------


def dumps(value: object) -> bytes:
    """A value without handles as one piece of bytes.

    Raises:
        Exception: It cannot be pickled; whatever its ``__reduce__`` raises.
    """
    pickler = Pickler()
    stream = pickler.stream(value)
    return with_definitions(gather(pickler), stream)


def loads(data: Buffer) -> Any:
    """The inverse of `dumps`.

    Raises:
        Exception: It cannot be unpickled here.
    """
    definitions, stream = split_definitions(data)
    arrivals.accept(definitions)
    return _Unpickler(stream, (), None).load()
