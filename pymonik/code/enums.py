"""Enumerations by value: members with the values and attributes they have, whatever made them.

A member is what ``__new__`` and ``__init__`` of its class made of what the class statement says,
and that is no longer known. So the class is made with stand-ins for both, which give each member
what it has.
"""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any, Final, cast

from pymonik.code import identities, places
from pymonik.code.class_making import made_with_hooks_off
from pymonik.code.class_state import set_class_state, state_of
from pymonik.code.functions import need_annotations

if TYPE_CHECKING:
    import enum

    from pymonik.code.reduction import Reduction

# Names with one underscore around them that a class statement may set; the others are made by
# `enum`.
_KEPT: Final = frozenset({"_missing_", "_ignore_", "_numeric_repr_"})
_OF_MEMBERS: Final = frozenset(
    {"_value_", "_name_", "__objclass__", "_sort_order_", "_value", "_inverted_", "__dict__"}
)
_HOOKS: Final = ("__new__", "__init__", "__new_member__")
_PLAIN: Final = (int, str, bytes, float, complex, tuple, frozenset)  # made of one argument

_object_reduce: Any = object.__reduce__

Member = tuple[str, Any, Any]  # name, value, arguments for the type that is mixed in


def reduce_member(pickler: Reduction, member: enum.Enum) -> Any:
    """What `pickle` takes for a member: its name, which is unique, unlike its value."""
    del pickler
    cls = type(member)
    if cls.__members__.get(member.name) is not member or places.is_by_name(cls):
        return NotImplemented
    return member_of, (cls, member.name)


def define(pickler: Reduction, cls: type[enum.Enum]) -> Any:
    """What makes the class with its members, then its state."""
    mixed = cast("Any", cls)._member_type_
    members: list[Member] = [
        (name, member._value_, _content(member, mixed)) for name, member in cls.__members__.items()
    ]
    need_annotations(pickler, cls)
    attributes = {
        name: {k: v for k, v in vars(member).items() if k not in _OF_MEMBERS}
        for name, member in cls.__members__.items()
    }
    boundary = getattr(cls, "_boundary_", None)
    arguments = (
        *(identities.id_of(cls), type(cls), cls.__name__, cls.__qualname__, cls.__module__),
        *(cls.__bases__, members, boundary, _is_made_by_hooks(cls)),
    )
    state = {
        name: value
        for name, value in state_of(cls).items()
        if name not in cls.__members__ and (not _is_sunder(name) or name in _KEPT)
    }
    return make_enum, arguments, (state, attributes), None, None, set_enum_state


def _content(member: Any, mixed: type) -> Any:
    """Arguments from which the mixed-in type makes what the member holds of it."""
    if mixed is object:
        return None
    plain: Any = next((kind for kind in _PLAIN if issubclass(mixed, kind)), None)
    if plain is None:
        reduce: Any = getattr(mixed, "__reduce__", None)
        is_own = reduce is not None and reduce is not _object_reduce
        return reduce(member)[1] if is_own else ()
    # The text of a member may say something else than what it holds.
    return (str.__str__(member) if issubclass(plain, str) else plain.__new__(plain, member),)


def _is_made_by_hooks(cls: type[enum.Enum]) -> bool:
    mixed: Any = cast("Any", cls)._member_type_
    if mixed is not object and not issubclass(mixed, _PLAIN):
        return True
    if any(vars(member).keys() - _OF_MEMBERS for member in cls):
        return True
    users = (base for base in cls.__mro__ if base.__module__ not in ("enum", "builtins"))
    return any(
        isinstance(vars(base).get(name), types.FunctionType | staticmethod)
        and getattr(vars(base)[name], "__module__", "enum") != "enum"
        for base in users
        for name in _HOOKS
    )


def _is_sunder(name: str) -> bool:
    return name[0] == name[-1] == "_" and name[1:2] != "_" and name[-2:-1] != "_"


# -- unpickling: these stand in pickles by their names -------------------------------------------


def member_of(cls: Any, name: str) -> Any:
    """A member by its name."""
    return cls.__members__[name]


def make_enum(
    uid: str,
    meta: Any,
    name: str,
    qualname: str,
    module: str,
    bases: tuple[type, ...],
    members: list[Member],
    boundary: Any,
    made_by_hooks: bool,  # noqa: FBT001 - from a pickle
) -> Any:
    """An enumeration without its state; the one of this id, if it is here already."""
    known = identities.find(uid)
    if known is not None:
        return known
    keywords = {} if boundary is None else {"boundary": boundary}
    names = meta.__prepare__(name, bases, **keywords)
    names["__module__"], names["__qualname__"] = module, qualname
    if made_by_hooks:
        names["__new__"], names["__init__"] = _stand_in(members), _do_nothing
    for member, value, _ in members:
        names[member] = value
    cls = made_with_hooks_off(bases, lambda: meta.__new__(meta, name, bases, names, **keywords))
    if made_by_hooks:
        for hook in _HOOKS:
            if hook in vars(cls) and hook != "__new__":
                type.__delattr__(cls, hook)
    identities.remember(uid, cls)
    return cls


def _stand_in(members: list[Member]) -> Any:
    """What makes the members in order, with value and content as they were."""
    coming = iter(members)

    def new(cls: Any, *_: object) -> Any:
        _name, value, content = next(coming)
        mixed = cls._member_type_
        if content is None or mixed is object:
            member: Any = object.__new__(cls)
        else:
            member = mixed.__new__(cls, *content)
        member._value_ = value
        return member

    return new


def _do_nothing(*_: object) -> None:
    pass


def set_enum_state(cls: Any, state: tuple[dict[str, Any], dict[str, dict[str, Any]]]) -> None:
    """Set the attributes of an enumeration, and of its members."""
    of_class, of_members = state
    set_class_state(cls, of_class)
    for name, attributes in of_members.items():
        vars(cls.__members__[name]).update(attributes)
