"""Classes by value: made once in a process, without running what the class statement ran.

Neither ``__init_subclass__`` nor a metaclass in Python sees the class again: what they did is part
of the state that travels. A process never sets the state of a class that it defined itself.
"""

from __future__ import annotations

import enum
import types
import typing
from typing import TYPE_CHECKING, Any, Final

from pymonik.code import arrivals, enums, identities, main_module, places, statements
from pymonik.code.class_making import HEAP_TYPE, make_class
from pymonik.code.class_state import set_class_state, state_of
from pymonik.code.functions import by_name, need_annotations

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymonik.code.reduction import Reduction

# Modules that only one version of Python has, and where any version finds what they define.
_PUBLIC: Final = {"pathlib._local": "pathlib"}


def reduce_class(pickler: Reduction, cls: type) -> Any:
    """What `pickle` takes for a class: a reference, unless it is what is being defined."""
    if pickler.is_root(cls):
        if pickler.by_statement and (statement := statements.statement_of(cls)) is not None:
            return statements.define(pickler, cls, statement)
        return enums.define(pickler, cls) if issubclass(cls, enum.Enum) else define(pickler, cls)
    if cls.__module__ == "builtins" and not _is_by_value(cls):
        return pickler.reduce_special_class(cls)
    public = _PUBLIC.get(cls.__module__)
    if public is not None and places.found(public, cls.__qualname__) is cls:
        return by_name, (public, cls.__qualname__)
    if places.is_by_name(cls) or not cls.__flags__ & HEAP_TYPE:
        return NotImplemented
    uid = identities.id_of(cls)
    key = arrivals.key_of_class(uid)
    pickler.need_class(key, cls)
    _need_name(pickler, cls)
    return arrivals.class_of, (uid,)


def _need_name(pickler: Reduction, cls: type) -> None:
    """A class of ``__main__`` is there by its name too, as plain pickle looks for it in a task."""
    current = main_module.current_names()
    if cls.__module__ not in main_module.MAIN_NAMES or current is None:
        return
    name = cls.__qualname__.partition(".")[0]
    if isinstance(current[1].get(name), type):
        pickler.need_names(current[1], (name,))


def _is_by_value(cls: type) -> bool:
    """A class that says it is built in, and was made by a class statement all the same."""
    return bool(cls.__flags__ & HEAP_TYPE) and not places.is_by_name(cls)


def define(pickler: Reduction, cls: type) -> Any:
    """What makes the class, then its state."""
    namespace: dict[str, Any] = {"__module__": cls.__module__, "__qualname__": cls.__qualname__}
    attributes = vars(cls)
    if "__orig_bases__" in attributes:
        namespace["__orig_bases__"] = attributes["__orig_bases__"]
    slots = _slots_of(cls)
    if slots is not None:
        namespace["__slots__"] = slots
    need_annotations(pickler, cls)
    # In two steps, the class and then its state, as methods and attributes mostly refer to the
    # class.
    arguments = (identities.id_of(cls), type(cls), cls.__name__, cls.__bases__, namespace)
    return make_class, arguments, state_of(cls, slots or ()), None, None, set_class_state


def before(cls: type) -> list[type]:
    """Classes by value that have to be there before ``cls`` can be made."""
    found: dict[type, None] = {}
    for part in (type(cls), *cls.__bases__, *vars(cls).get("__orig_bases__", ())):
        found.update(dict.fromkeys(_classes_in(part)))
    return [one for one in found if one is not cls and one.__flags__ & HEAP_TYPE]


def _classes_in(part: Any, depth: int = 8) -> Iterator[type]:
    """Classes by value in a base such as ``Store[Item]``."""
    if isinstance(part, type) and typing.get_origin(part) is None:
        if not places.is_by_name(part):
            yield part
    elif depth:
        bounds = (getattr(part, "__bound__", None), *getattr(part, "__constraints__", ()))
        for inner in (*bounds, *typing.get_args(part)):
            yield from _classes_in(inner, depth - 1)


def _slots_of(cls: type) -> tuple[str, ...] | None:
    if "__slots__" not in vars(cls):
        return None
    names = [
        name
        for name, value in vars(cls).items()
        if isinstance(value, types.MemberDescriptorType) and value.__objclass__ is cls
    ]
    return (*names, *(name for name in ("__dict__", "__weakref__") if name in vars(cls)))
