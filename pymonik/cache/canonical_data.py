"""Data in a digest: containers, arrays, handles, files, and objects as `pickle` sees them."""

from __future__ import annotations

import contextlib
import contextvars
import copyreg
from typing import TYPE_CHECKING, Any, Final

from pymonik.cache import canonical_code
from pymonik.cache.walk import CannotDigestError
from pymonik.code import places

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pymonik.cache.walk import Walk
    from pymonik.code.references import Enclosed, Referable, ReferableGroup

_PROTOCOL: Final = 4  # with a higher one arrays give buffers that stand outside of the pickle
# A subclass that keeps these is pickled as a set, in an order that differs between processes.
_REDUCE_OF_SETS: Final = (set.__reduce__, frozenset.__reduce__)


def list_(walk: Walk, value: list[object] | tuple[object, ...]) -> None:
    """A list or a tuple."""
    walk.tag(type(value).__name__, len(value))
    walk.all(value)


def dict_(walk: Walk, value: Mapping[object, object]) -> None:
    """A mapping, in its order."""
    walk.tag("dict", len(value))
    for key, one in list(value.items()):
        walk.add(key)
        walk.add(one)


def set_(walk: Walk, value: set[object] | frozenset[object]) -> None:
    """A set, whatever its order."""
    walk.tag(type(value).__name__, len(value))
    # Sorted by digest: the order of a set depends on addresses and on the seed of hashes.
    for digest in sorted(map(walk.alone, value)):
        walk.write(digest)


def bytes_(walk: Walk, value: bytearray | memoryview) -> None:
    """Bytes that can be changed, or a view of some."""
    view = memoryview(value)
    walk.tag(type(value).__name__)
    walk.all((view.format, view.shape))
    walk.write(view.tobytes())


def array(walk: Walk, value: Any) -> None:
    """An array as it arrives: of one piece, in the order of C or in that of Fortran."""
    if value.dtype.hasobject:
        object_(walk, value)
        return
    is_fortran = value.flags.f_contiguous and not value.flags.c_contiguous
    walk.tag("ndarray fortran" if is_fortran else "ndarray", value.ndim)
    canonical_code.class_(walk, type(value))
    walk.add(tuple(map(int, value.shape)))
    walk.add(value.dtype)
    # The transposed array is of one piece in the order of C, so `tobytes` takes the bytes as
    # they lie.
    order = value.T if is_fortran else value
    walk.write(order.tobytes())


def handle(walk: Walk, value: Referable) -> None:
    """A handle, by what stands for it."""
    if walk.key_of is None:
        raise CannotDigestError("it holds a handle")
    walk.tag("handle")
    walk.write(walk.key_of(value._state))


def file(walk: Walk, value: Enclosed) -> None:
    """A file, by its content."""
    if not walk.takes_files:
        raise CannotDigestError("it holds a file, whose bytes may be deleted before the value is")
    ref = value._seal().ref
    walk.tag("file")
    walk.all((ref.name, ref.size, ref.digest, ref.is_folder, ref.is_executable))


def handles(walk: Walk, value: ReferableGroup) -> None:
    """Several handles."""
    list_(walk, list(value._members()))


def set_of_class(walk: Walk, value: Any) -> None:
    """A set of a subclass: `pickle` would give its members in any order."""
    kind: Any = type(value)
    if kind.__reduce__ not in _REDUCE_OF_SETS or kind.__reduce_ex__ is not object.__reduce_ex__:
        object_(walk, value)
        return
    # The class and what the instance has beside its members count, as in the pickle of an
    # object.
    walk.add(type(value))
    set_(walk, value)
    walk.add(getattr(value, "__dict__", None))


def context_variable(walk: Walk, value: contextvars.ContextVar[Any]) -> None:
    """A context variable, with its default."""
    walk.tag("context variable")
    walk.add(value.name)
    with contextlib.suppress(LookupError):  # in an empty context it has its default or nothing
        walk.add(contextvars.Context().run(value.get))


def object_(walk: Walk, value: Any) -> None:
    """An object of any class, as `pickle` takes it apart."""
    reduced = _reduced(value)
    if isinstance(reduced, str):
        module = getattr(value, "__module__", None) or "__main__"
        if places.travels_by_name(module):
            walk.named(module, reduced)
            return
        raise CannotDigestError(f"a {type(value).__name__} that no module has by its name")
    # The tuple has two to six parts, as the protocol of `pickle` says: what is left out is
    # ``None``.
    parts: list[Any] = list(reduced)
    make, arguments, state, items, pairs, setter = parts + [None] * (6 - len(parts))
    walk.tag("object", len(parts))
    walk.all((make, arguments, state, setter))
    if items is not None:
        list_(walk, list(items))
    if pairs is not None:
        dict_(walk, dict(pairs))


def _reduced(value: Any) -> Any:
    """What `pickle` takes for an object.

    Raises:
        CannotDigestError: It cannot be pickled.
    """
    reduce = copyreg.dispatch_table.get(type(value))
    try:
        if reduce is not None:
            return reduce(value)
        return value.__reduce_ex__(_PROTOCOL)
    except Exception as error:  # code of the user's
        kind = type(value)
        raise CannotDigestError(f"a {kind.__module__}.{kind.__qualname__}: {error}") from error
