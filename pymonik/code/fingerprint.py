"""Whether a function still is what it was when it was pickled, without pickling it again.

A `Fingerprint` remembers which objects a function reaches: its code, defaults and closure, the
globals that the code names, and so on through the user's functions and classes. They are compared
by identity, and so is what small lists, dicts and sets hold. A function that reaches something else
that can change in place (a large list, an instance of a user's class) has no fingerprint: only
pickling tells.

The *shape* of a function or a class is the part of it that belongs to its own definition: it stops
at what a pickle refers to by name, and at names of ``__main__``.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import fractions
import functools
import logging
import operator
import pathlib
import re
import types
import typing
import uuid
import weakref
from typing import Any, Final

from pymonik.code import functions, main_module, places, reducers
from pymonik.code.references import Named

if typing.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    _ItemsOf = Callable[[Any], tuple[object, ...]]

_ABSENT: Final = object()  # stands for a name that is not there
_EMPTY_CELL: Final = object()  # stands for a variable of an outer function without a value
# Objects that a walk looks at; a function that reaches more is pickled each time.
_MOST: Final = 5000
_LARGEST: Final = 64  # items of a container that is compared item by item

_IMMUTABLE = (
    *(int, float, complex, str, bytes, bool, type(None), type(...), type(NotImplemented), range),
    *(datetime.date, datetime.time, datetime.timedelta, datetime.timezone, decimal.Decimal),
    *(fractions.Fraction, pathlib.PurePath, re.Pattern, uuid.UUID, enum.Enum, types.CodeType),
    *(logging.Logger, typing.TypeVar, types.GenericAlias, types.UnionType),
)
_LEAF_DESCRIPTORS = (
    *(types.GetSetDescriptorType, types.MemberDescriptorType, types.WrapperDescriptorType),
    *(types.MethodDescriptorType, types.ClassMethodDescriptorType, types.MethodWrapperType),
)
_CODE = (types.FunctionType, staticmethod, classmethod, property)


class Fingerprint:
    """What a function reached when this was made; keeps it alive, so that no id is used twice."""

    def __init__(self) -> None:
        self.entries: list[tuple[Mapping[str, Any], str, object]] = []
        self.sizes: list[tuple[Mapping[str, Any], int]] = []
        self.cells: list[tuple[types.CellType, object]] = []
        self.functions: list[tuple[types.FunctionType, object, object, object]] = []
        self.bases: list[tuple[type, tuple[type, ...]]] = []
        self.contents: list[
            tuple[Any, Callable[[Any], tuple[object, ...]], tuple[object, ...]]
        ] = []
        # Weakly: a task keeps its fingerprint, and has to go as soon as nobody needs it.
        self.parts: list[tuple[weakref.ref[Named], tuple[object, ...]]] = []

    def holds(self) -> bool:
        """Whether all of it is still the same."""
        for names, name, value in self.entries:
            if names.get(name, _ABSENT) is not value:
                return False
        for names, size in self.sizes:
            if len(names) != size:
                return False
        for function, code, defaults, keywords in self.functions:
            if function.__code__ is not code or function.__defaults__ is not defaults:
                return False
            if function.__kwdefaults__ is not keywords:
                return False
        for reference, parts in self.parts:
            named = reference()
            if named is None or not _same(named.parts(), parts):
                return False
        for container, items, content in self.contents:
            if not _same(items(container), content):
                return False
        return all(_content(cell) is value for cell, value in self.cells) and all(
            cls.__bases__ is bases or cls.__bases__ == bases for cls, bases in self.bases
        )


def _same(one: tuple[object, ...], other: tuple[object, ...]) -> bool:
    return len(one) == len(other) and all(map(operator.is_, one, other))


def _items(mapping: dict[object, object]) -> tuple[object, ...]:
    return (*mapping, *mapping.values())


# A set gives its items in the same order as long as it is the same set and has not changed.
_CONTAINERS: Final[dict[type, _ItemsOf]] = {
    list: tuple,
    set: tuple,
    dict: _items,
}


def fingerprint(function: object) -> Fingerprint | None:
    """What ``function`` reaches, or ``None`` if part of it can change in place.

    Args:
        function: A function by value, a task, or whatever else can be called.
    """
    return _result_of(_Walk(), function)


def shape(target: object) -> Fingerprint | None:
    """What belongs to the definition of ``target``, or ``None`` if it can change in place."""
    return _result_of(_Walk(shallow=True), target)


def _result_of(walk: _Walk, target: object) -> Fingerprint | None:
    try:
        return walk.result if walk.visit(target, root=True) else None
    except Exception:  # noqa: BLE001 - of a lazy object of the user's; pickling it says more
        return None


def is_constant(value: object) -> bool:
    """Whether ``value`` is of a class whose objects never change."""
    return issubclass(type(value), _IMMUTABLE) or type(value).__module__ == "typing"


class _Walk:
    def __init__(self, *, shallow: bool = False) -> None:
        self.result = Fingerprint()
        self._shallow = shallow
        self._seen: dict[int, object] = {}

    def visit(self, value: object, *, root: bool = False) -> bool:
        """Note what ``value`` reaches; ``False`` if it can change in place."""
        if id(value) in self._seen:
            return True
        if len(self._seen) > _MOST:
            return False
        self._seen[id(value)] = value
        if isinstance(value, types.FunctionType):
            return (not root and self._is_referred_to(value)) or self._function(value)
        if isinstance(value, type):
            return (not root and self._is_referred_to(value)) or self._class(value)
        if isinstance(value, types.ModuleType):
            return self._module(value)
        if isinstance(value, Named):
            return (not root and self._is_referred_to(value)) or self._named(value)
        return self._value(value)

    def _is_referred_to(self, value: Any) -> bool:
        """Whether a pickle only refers to a function, a class or a task."""
        if places.is_by_name(value):
            return True
        if not self._shallow:
            return False
        if isinstance(value, type):
            return True
        current = main_module.current_names()
        return current is not None and places.name_in_main(value, current[1]) is not None

    def _module(self, module: types.ModuleType) -> bool:
        if places.travels_by_name(module.__name__):
            return True
        if self._shallow and main_module.main_id_of(vars(module)) is not None:
            return True
        return self._names(vars(module))

    def _named(self, named: Named) -> bool:
        self.result.parts.append((weakref.ref(named), named.parts()))
        return self.visit(named.wrapped(), root=True)

    def _value(self, value: object) -> bool:
        if isinstance(value, tuple | frozenset):
            return type(value) in (tuple, frozenset) and all(map(self.visit, value))
        if isinstance(value, _IMMUTABLE):
            # A subclass of the user's may have attributes of its own.
            return places.travels_by_name(type(value).__module__) or (
                isinstance(value, enum.Enum) and self.visit(type(value))
            )
        if (items := _CONTAINERS.get(type(value))) is not None:
            return self._container(value, items)
        return self._callable(value) or self._is_bare(value)

    def _container(self, value: Any, items: _ItemsOf) -> bool:
        if len(value) > _LARGEST:
            return False
        content = items(value)
        self.result.contents.append((value, items, content))
        return all(map(self.visit, content))

    def _is_bare(self, value: object) -> bool:
        """A sentinel of an installed module, such as that of `dataclasses`."""
        kind = type(value)
        return (
            reducers.may_be_sentinel(kind)
            and not reducers.has_attributes(value)
            and (kind is object or places.travels_by_name(kind.__module__))
        )

    def _callable(self, value: object) -> bool:
        if isinstance(value, types.BuiltinFunctionType):
            return isinstance(value.__self__, types.ModuleType | type | None)
        if isinstance(value, _LEAF_DESCRIPTORS) or type(value).__module__ == "typing":
            return True
        if isinstance(value, functools.partial):
            return self._all(value.func, *value.args) and self._names(value.keywords)
        if isinstance(value, types.MethodType):
            return self._all(value.__func__, value.__self__)
        if isinstance(value, staticmethod | classmethod):
            return self.visit(value.__func__)
        if isinstance(value, property):
            return self._all(value.fget, value.fset, value.fdel)
        if isinstance(value, functools._lru_cache_wrapper):
            return self.visit(value.__wrapped__)
        return type(value).__name__ == "ufunc" and type(value).__module__ == "numpy"

    def _function(self, function: types.FunctionType) -> bool:
        code = function.__code__
        defaults, keywords = function.__defaults__, function.__kwdefaults__
        self.result.functions.append((function, code, defaults, keywords))
        return (
            self.visit(defaults)
            and self._names(keywords or {})
            and self._names(vars(function))
            and self._cells(function.__closure__ or ())
            and self._globals(function)
        )

    def _cells(self, cells: tuple[types.CellType, ...]) -> bool:
        for cell in cells:
            content = _content(cell)
            self.result.cells.append((cell, content))
            if content is not _EMPTY_CELL and not self.visit(content):
                return False
        return True

    def _globals(self, function: types.FunctionType) -> bool:
        known = function.__globals__
        is_apart = self._shallow and main_module.main_id_of(known) is not None
        if places.home_of(known) is not None:
            return True  # the function is put into its module, as it is there
        if not self._shallow and main_module.main_id_of(known) is not None:
            self._classes_of_main(known)
        for name in functions.names_of(function.__code__):
            value = known.get(name, _ABSENT)
            if is_apart:
                # A name that is there is a definition of its own; one that comes later is needed.
                if value is _ABSENT:
                    self.result.entries.append((known, name, value))
                continue
            self.result.entries.append((known, name, value))
            if value is not _ABSENT and not self.visit(value):
                return False
        if main_module.main_id_of(known) is not None:
            from pymonik.code import by_text  # executors pickle few functions

            if by_text.is_used_by(function.__code__, known):
                return self._all_of_main(known, by_text.meant_by(function.__code__, known))
        if not is_apart:
            for name in functions.names_in_annotations(function.__annotations__):
                self.result.entries.append((known, name, known.get(name, _ABSENT)))
        return True

    def _classes_of_main(self, names: dict[str, Any]) -> None:
        """All classes of the script travel with its functions: see a new one, or one made anew."""
        if any(names is known for known, _ in self.result.sizes):
            return
        self.result.sizes.append((names, len(names)))
        for name in main_module.classes_in(names):
            self.result.entries.append((names, name, names[name]))

    def _all_of_main(self, names: dict[str, Any], meant: Iterable[str]) -> bool:
        """What the script has is looked up by texts: all of it counts, and what comes later."""
        self.result.sizes.append((names, len(names)))
        if self._shallow:
            return True  # each name is a definition of its own
        for name in meant:
            self.result.entries.append((names, name, names[name]))
            if not self.visit(names[name]):
                return False
        return True

    def _class(self, cls: type) -> bool:
        self.result.bases.append((cls, cls.__bases__))
        return self._names(vars(cls)) and self._all(*cls.__bases__, type(cls))

    def _names(self, names: Mapping[str, Any]) -> bool:
        self.result.sizes.append((names, len(names)))
        for name, value in list(names.items()):
            if name == "_abc_impl" or (name.startswith("__") and not isinstance(value, _CODE)):
                continue  # __dict__, __builtins__, __doc__ and the like
            self.result.entries.append((names, name, value))
            if not self.visit(value):
                return False
        return True

    def _all(self, *values: object) -> bool:
        return all(map(self.visit, values))


def _content(cell: types.CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # the variable has no value yet
        return _EMPTY_CELL
