"""A function as it travels: packed once by a client, loaded once by each executor."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from pymonik.code import arrivals, codec, main_module
from pymonik.code.heaviest import heaviest
from pymonik.errors import SerializationError
from pymonik.wire.call import FunctionMeta
from pymonik.wire.containers import Buffer, join, split
from pymonik.wire.definitions import split_definitions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymonik.code.references import Sealed
    from pymonik.wire.call import BuiltIn


# Bytes from which a warning says that a function, or an argument, carries much: a function goes to
# each executor, and again after each change.
HEAVY_BYTES = 10_000_000


@dataclass(frozen=True, slots=True)
class PackedFunction:
    """A function as it travels, known by the hash of its content; see `Packed` for the rest.

    Attributes:
        built_in: What runs in its place without being unpickled: then there is no container.
        files: Those that ``built_in`` has, in order.
        heaviest: Of a heavy one: which of the values that it carries is the largest.
        concurrency: How many of its calls one executor runs at the same time.
    """

    content_id: str
    name: str
    container: bytes
    modules: frozenset[str] = codec.NO_MODULES
    compiled: str = ""
    built_in: BuiltIn | None = None
    files: Sequence[Sealed] = ()
    heaviest: str = ""
    concurrency: int = 1

    @property
    def is_heavy(self) -> bool:
        """Whether it carries more than a function is meant to: it goes to each executor."""
        return len(self.container) > HEAVY_BYTES

    def placed(self) -> BuiltIn:
        """What is built in, with the places of its files: they were uploaded."""
        if self.built_in is None:
            raise TypeError(f"{self.name} is not built in")
        refs = tuple(sealed.ref for sealed in self.files)
        return msgspec.structs.replace(self.built_in, files=refs)


def pack_function(function: object, name: str) -> PackedFunction:
    """Pickle a function (by value, unless its module travels as a file) and hash it.

    Raises:
        SerializationError: It refers to something that cannot be pickled.
    """
    packed, pickler = codec.pack_code(function, f"function {name!r}")
    if packed.refs:
        raise SerializationError(
            f"function {name!r} refers to a handle from outside; pass the handle as an argument"
        )
    if packed.files:
        raise SerializationError(
            f"function {name!r} refers to a File from outside; pass the file as an argument"
        )
    main = pickler.main_id
    meta = FunctionMeta(name=name, blobs=len(packed.blobs), main=main)
    container = join(meta, packed.blobs)
    digest = hashlib.sha256()
    for blob in packed.blobs:
        digest.update(blob)
    content_id = digest.hexdigest()[:32]
    joined = b"".join(container)
    heavy = heaviest(function) if len(joined) > HEAVY_BYTES else ""
    return PackedFunction(
        content_id,
        name,
        joined,
        packed.modules,
        packed.compiled,
        heaviest=heavy,
        concurrency=getattr(function, "concurrency", 1),
    )


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
        self.function: Any = codec.unpack((stream, *blobs[1:]))

    def put_in_place(self) -> None:
        """Let the program's ``__main__``, and classes by value, be as they were at its client."""
        if self._main:
            main_module.put_in_place(self._main)
        # Another function may have put its own definitions in place since; where none has, this
        # costs one comparison for each call.
        if self._definitions and self._accepted_at != arrivals.changes():
            codec.accept(self._definitions)
            self._accepted_at = arrivals.changes()


def load_function(container: Buffer) -> Any:
    """The function in a container that `pack_function` made."""
    return LoadedFunction(container).function
