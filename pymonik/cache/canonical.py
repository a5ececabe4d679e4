"""Values as a digest: the same in every process for what a task cannot tell apart.

What a worker gets of a value is its pickle, so objects are taken apart as `pickle` does; what runs
of a class or a function is its code, so these are taken apart further. Types count, the order of a
dict and of a list counts, that of a set does not. An object that is reached twice is noted as the
same one: a task may change it in one place and see that in the other.

`Walk` goes through a value; `canonical_data` and `canonical_code` write what it meets; here stands
which of their functions is for which type.
"""

from __future__ import annotations

import contextvars
import enum
import functools
import threading
import types
import typing
from typing import TYPE_CHECKING, Final, NamedTuple

from pymonik.cache import canonical_code, canonical_data
from pymonik.cache.walk import CannotDigestError, Walk
from pymonik.code.references import Enclosed, Known, Named, Referable, ReferableGroup

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymonik.cache.codes import Part
    from pymonik.cache.walk import Writer
    from pymonik.session.result import ResultState

# Locks cannot be pickled; pymonik makes new ones where they arrive.
_LOCKS: Final = (type(threading.Lock()), type(threading.RLock()))
# What classes that are written in C have for their attributes: known by kind and name.
_DESCRIPTORS: Final = (
    *(types.GetSetDescriptorType, types.MemberDescriptorType, types.WrapperDescriptorType),
    *(types.MethodDescriptorType, types.ClassMethodDescriptorType, types.MethodWrapperType),
)


class Digested(NamedTuple):
    """What is known of a value.

    Attributes:
        digest: Of the value.
        modules: Those that it refers to by name and that travel as files.
        packages: Top-level names of installed packages that it refers to.
        parts: Functions, classes and variables that it consists of.
        codes: Code objects that were met, for what they import.
    """

    digest: bytes
    modules: frozenset[str]
    packages: frozenset[str]
    parts: tuple[Part, ...]
    codes: tuple[types.CodeType, ...]


def digested(
    value: object,
    key_of: Callable[[ResultState], bytes] | None = None,
    *,
    takes_files: bool = False,
) -> Digested:
    """The digest of a value, and what it refers to.

    Args:
        value: Anything that can travel.
        key_of: What stands for a handle; without it, handles cannot be digested.
        takes_files: Whether a file counts by its content; without it, it cannot be digested.

    Raises:
        CannotDigestError: It says which part is to blame.
    """
    walk = Walk(_writer_of, key_of, takes_files=takes_files)
    try:
        walk.add(value)
    # A value as deep as that cannot be pickled either.
    except RecursionError:
        raise CannotDigestError("it is nested too deeply") from None
    return Digested(
        walk.digest(),
        frozenset(walk.modules),
        frozenset(walk.packages),
        tuple(walk.parts),
        tuple(walk.codes),
    )


def digest_of(value: object, key_of: Callable[[ResultState], bytes] | None = None) -> bytes:
    """The digest alone.

    Raises:
        CannotDigestError: It says which part is to blame.
    """
    return digested(value, key_of).digest


def _writer_of(kind: type) -> Writer:
    write = _WRITERS.get(kind)
    if write is not None:
        return write
    for base, of_subclass in _SUBCLASSES:
        if issubclass(kind, base):
            return of_subclass
    # By name: nothing is imported here for programs that do not use these packages.
    if kind.__module__ == "numpy" and kind.__name__ == "ndarray":
        return canonical_data.array
    if kind.__module__.startswith("numba.") and hasattr(kind, "py_func"):
        return canonical_code.compiled_by_numba
    return canonical_data.object_


# Exact types first, as most values have one of these; subclasses are looked for one by one.
_WRITERS: Final[dict[type, Writer]] = {
    list: canonical_data.list_,
    tuple: canonical_data.list_,
    dict: canonical_data.dict_,
    set: canonical_data.set_,
    frozenset: canonical_data.set_,
    bytearray: canonical_data.bytes_,
    memoryview: canonical_data.bytes_,
    types.MappingProxyType: canonical_data.dict_,
    types.FunctionType: canonical_code.function,
    types.CodeType: canonical_code.code_,
    types.CellType: canonical_code.cell,
    types.BuiltinFunctionType: canonical_code.builtin,
    types.MethodType: canonical_code.method,
    staticmethod: canonical_code.wrapper,
    classmethod: canonical_code.wrapper,
    property: canonical_code.property_,
    functools._lru_cache_wrapper: canonical_code.cached_function,
    contextvars.ContextVar: canonical_data.context_variable,
    typing.NewType: canonical_code.new_type,
    typing.TypeVar: canonical_code.type_variable,
    typing.ParamSpec: canonical_code.type_variable,
    **dict.fromkeys(_DESCRIPTORS, canonical_code.descriptor),
    **dict.fromkeys(_LOCKS, canonical_code.lock),
}
_SUBCLASSES: Final[tuple[tuple[type, Writer], ...]] = (
    (Named, canonical_code.task),
    (Enclosed, canonical_data.file),
    (Known, lambda walk, value: walk.add(value.known_value())),
    (Referable, canonical_data.handle),
    (ReferableGroup, canonical_data.handles),
    (type, canonical_code.class_),
    (types.ModuleType, canonical_code.module),
    (enum.Enum, canonical_code.member),
    (set, canonical_data.set_of_class),
    (frozenset, canonical_data.set_of_class),
)
