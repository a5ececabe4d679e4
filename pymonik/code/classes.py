"""Classes by value: made once in a process, without running what the class statement ran.

Neither ``__init_subclass__`` nor a metaclass in Python sees the class again: what they did is part
of the state that travels. A process never sets the state of a class that it defined itself.
"""

from __future__ import annotations

import abc
import enum
import gc
import threading
import types
import typing
from typing import TYPE_CHECKING, Any, Final

from pymonik.code import arrivals, enums, identities, main_module, places, statements
from pymonik.code.functions import by_name, names_in_annotations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pymonik.code.pickler import Pickler

# Attributes that Python makes for each class, and those of `abc` that hold caches of this process.
_MADE_BY_PYTHON: Final = frozenset(
    {
        *("__dict__", "__weakref__", "__module__", "__slots__", "__orig_bases__"),
        *("_abc_impl", "_abc_registry", "_abc_cache", "_abc_negative_cache"),
        "_abc_negative_cache_version",
    }
)
# Names for which `type` has a setter that keeps the value among the attributes of the class.
_SET_BY_TYPE: Final = frozenset(
    {"__abstractmethods__", "__annotations__", "__doc__", "__type_params__"}
)
_HEAP_TYPE: Final = 1 << 9  # of `type.__flags__`: made by a class statement, or like one
# Modules that only one version of Python has, and where any version finds what they define.
_PUBLIC: Final = {"pathlib._local": "pathlib"}
_hooks = threading.RLock()  # held while the `__init_subclass__` of a base is replaced
# By the id of a class: names that its last state set. The next state deletes those it does not
# have.
_states: dict[str, frozenset[str]] = {}


# -- pickling ------------------------------------------------------------------------------------


def reduce_class(pickler: Pickler, cls: type) -> Any:
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
    if places.is_by_name(cls) or not cls.__flags__ & _HEAP_TYPE:
        return NotImplemented
    uid = identities.id_of(cls)
    key = arrivals.key_of_class(uid)
    pickler.need_class(key, cls)
    _need_name(pickler, cls)
    return arrivals.class_of, (uid,)


def _need_name(pickler: Pickler, cls: type) -> None:
    """A class of ``__main__`` is there by its name too, as plain pickle looks for it in a task."""
    current = main_module.current_names()
    if cls.__module__ not in main_module.MAIN_NAMES or current is None:
        return
    name = cls.__qualname__.partition(".")[0]
    if isinstance(current[1].get(name), type):
        pickler.need_names(current[1], (name,))


def _is_by_value(cls: type) -> bool:
    """A class that says it is built in, and was made by a class statement all the same."""
    return bool(cls.__flags__ & _HEAP_TYPE) and not places.is_by_name(cls)


def define(pickler: Pickler, cls: type) -> Any:
    """What makes the class, then its state."""
    namespace: dict[str, Any] = {"__module__": cls.__module__, "__qualname__": cls.__qualname__}
    attributes = vars(cls)
    if "__orig_bases__" in attributes:
        namespace["__orig_bases__"] = attributes["__orig_bases__"]
    slots = _slots_of(cls)
    if slots is not None:
        namespace["__slots__"] = slots
    need_annotations(pickler, cls)
    arguments = (identities.id_of(cls), type(cls), cls.__name__, cls.__bases__, namespace)
    return make_class, arguments, state_of(cls, slots or ()), None, None, set_class_state


def before(cls: type) -> list[type]:
    """Classes by value that have to be there before ``cls`` can be made."""
    found: dict[type, None] = {}
    for part in (type(cls), *cls.__bases__, *vars(cls).get("__orig_bases__", ())):
        found.update(dict.fromkeys(_classes_in(part)))
    return [one for one in found if one is not cls and one.__flags__ & _HEAP_TYPE]


def _classes_in(part: Any, depth: int = 8) -> Iterator[type]:
    """Classes by value in a base such as ``Store[Item]``."""
    if isinstance(part, type) and typing.get_origin(part) is None:
        if not places.is_by_name(part):
            yield part
    elif depth:
        bounds = (getattr(part, "__bound__", None), *getattr(part, "__constraints__", ()))
        for inner in (*bounds, *typing.get_args(part)):
            yield from _classes_in(inner, depth - 1)


def need_annotations(pickler: Pickler, cls: type) -> None:
    """Names that only annotations have are needed too, by `typing.get_type_hints`."""
    if cls.__module__ not in main_module.MAIN_NAMES:
        return
    current = main_module.current_names()
    words = names_in_annotations(vars(cls).get("__annotations__"))
    if current is not None and words:
        pickler.need_names(current[1], words, optional=True)


def _slots_of(cls: type) -> tuple[str, ...] | None:
    if "__slots__" not in vars(cls):
        return None
    names = [
        name
        for name, value in vars(cls).items()
        if isinstance(value, types.MemberDescriptorType) and value.__objclass__ is cls
    ]
    return (*names, *(name for name in ("__dict__", "__weakref__") if name in vars(cls)))


def state_of(cls: type, slots: tuple[str, ...] = ()) -> dict[str, Any]:
    """The attributes of a class that are not there once it is made."""
    state = {
        name: value
        for name, value in vars(cls).items()
        if name not in _MADE_BY_PYTHON and name not in slots
    }
    if "__slots__" in vars(cls):
        state["__slots__"] = vars(cls)["__slots__"]
    if isinstance(cls, abc.ABCMeta):
        registered = (reference() for reference in abc._get_dump(cls)[0])  # type: ignore[attr-defined]
        state["_abc_impl"] = [other for other in registered if other is not None]
    return state


# -- unpickling: these stand in pickles by their names -------------------------------------------


def make_class(
    uid: str, meta: type, name: str, bases: tuple[type, ...], namespace: dict[str, Any]
) -> type:
    """A class without its state; the one of this id, if it is here already."""
    known = identities.find(uid)
    if isinstance(known, type):
        return known
    cls: type = made_quietly(meta, name, bases, namespace)
    identities.remember(uid, cls)
    return cls


def made_quietly(meta: type, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> Any:
    """A new class of which no hook in Python hears."""
    return made_with_hooks_off(bases, lambda: _bare(meta, name, bases, namespace))


def made_with_hooks_off(bases: tuple[type, ...], make: Callable[[], Any]) -> Any:
    """What ``make`` gives, while ``__init_subclass__`` of the bases does nothing."""
    hook = _hook_in(bases)
    if hook is None:
        return make()
    owner, original = hook
    with _hooks:
        # `type.__setattr__`, since a metaclass may have another. A class statement in another
        # thread that derives from `owner` at this moment runs no hook either: there is no way to
        # make a class by its bases without Python asking for the hook.
        type.__setattr__(owner, "__init_subclass__", classmethod(lambda _, **__: None))
        try:
            return make()
        finally:
            type.__setattr__(owner, "__init_subclass__", original)


def _hook_in(bases: tuple[type, ...]) -> tuple[type, object] | None:
    """The class whose ``__init_subclass__`` would run, unless it is the standard library's.

    Those of `typing` and `enum` prepare what their classes need, and do so each time alike.
    """
    if not bases:
        return None
    for cls in _merged(bases):
        hook = vars(cls).get("__init_subclass__")
        if hook is not None:
            is_python = isinstance(hook, classmethod) and bool(cls.__flags__ & _HEAP_TYPE)
            return (cls, hook) if is_python and cls.__module__ not in ("typing", "enum") else None
    return None


def _merged(bases: tuple[type, ...]) -> tuple[type, ...]:
    """The method resolution order that a class with these bases gets, without itself."""
    if len(bases) == 1:
        return bases[0].__mro__
    seen: dict[type, None] = {}
    for base in bases:
        for cls in base.__mro__:
            # A class stands behind all of its subclasses: the last place counts.
            seen.pop(cls, None)
            seen[cls] = None
    return tuple(seen)


def _bare(meta: type, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> Any:
    if issubclass(meta, abc.ABCMeta):
        return abc.ABCMeta.__new__(meta, name, bases, namespace)
    new: Any = next(
        vars(cls)["__new__"]
        for cls in meta.__mro__
        if "__new__" in vars(cls) and not isinstance(vars(cls)["__new__"], staticmethod)
    )
    return new(meta, name, bases, namespace)


def set_class_state(cls: Any, state: dict[str, Any]) -> None:
    """Set the attributes of a class that another process defined."""
    uid = identities.id_of(cls)
    names = frozenset(state)
    for name in _states.get(uid, frozenset()) - names:
        if name in vars(cls):
            type.__delattr__(cls, name)
    _states[uid] = names
    set_attribute = _setter_of(type(cls))
    hidden = {name: value for name, value in state.items() if _is_hidden(type(cls), name)}
    if hidden:
        _set_hidden(cls, hidden)
    for name, value in state.items():
        if name in hidden:
            continue
        if name == "_abc_impl":
            for other in value:
                cls.register(other)
        elif name != "__slots__" or vars(cls).get("__slots__") != value:
            set_attribute(cls, name, value)
    if "__firstlineno__" in state:  # setting any other name of a class deletes it
        set_attribute(cls, "__firstlineno__", state["__firstlineno__"])


def _is_hidden(meta: type, name: str) -> bool:
    """Whether setting this attribute of a class would do something to the class itself.

    A property called ``__class__`` is one, or a name for which the metaclass has a property.
    """
    if name in _SET_BY_TYPE:
        return False
    found = next((vars(base)[name] for base in meta.__mro__ if name in vars(base)), None)
    return hasattr(type(found), "__set__")


def _set_hidden(cls: type, hidden: dict[str, Any]) -> None:
    """Set attributes as a class statement does, which writes them into the class's dictionary.

    Python gives out that dictionary behind a read-only view only. The collector of garbage knows
    what the view refers to; the attribute set afterwards makes Python forget what it has looked up.
    """
    (attributes,) = gc.get_referents(vars(cls))
    attributes.update(hidden)
    _setter_of(type(cls))(cls, "__module__", attributes["__module__"])


def _setter_of(meta: type) -> Any:
    """How attributes are set behind the back of a metaclass in Python."""
    return next(
        vars(cls)["__setattr__"]
        for cls in meta.__mro__
        if isinstance(vars(cls).get("__setattr__"), types.WrapperDescriptorType)
    )
