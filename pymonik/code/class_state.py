"""What a class has besides its bases: read where it is defined, set where it arrives."""

from __future__ import annotations

import abc
import gc
import types
from typing import Any, Final

from pymonik.code import identities

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
# By the id of a class: names that its last state set. The next state deletes those it does not
# have.
_states: dict[str, frozenset[str]] = {}


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


def set_class_state(cls: Any, state: dict[str, Any]) -> None:
    """Set the attributes of a class that another process defined."""
    uid = identities.id_of(cls)
    names = frozenset(state)
    # Attributes that an earlier version of the class had, and that the program has deleted since.
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
