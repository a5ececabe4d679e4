"""A class out of its parts: made once in a process, and no hook in Python hears of it.

The functions stand in pickles by their names.
"""

from __future__ import annotations

import abc
import threading
from typing import TYPE_CHECKING, Any, Final

from pymonik.code import identities

if TYPE_CHECKING:
    from collections.abc import Callable

# Bit of `type.__flags__` (``Py_TPFLAGS_HEAPTYPE``): made by a class statement, or like one.
HEAP_TYPE: Final = 1 << 9
_hooks = threading.RLock()  # held while the `__init_subclass__` of a base is replaced


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
            is_python = isinstance(hook, classmethod) and bool(cls.__flags__ & HEAP_TYPE)
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
    # Its ``__new__`` is Python, but no hook of the user's: it makes what `isinstance` asks of such
    # classes. Otherwise the one in C is taken, past those of metaclasses in Python.
    if issubclass(meta, abc.ABCMeta):
        return abc.ABCMeta.__new__(meta, name, bases, namespace)
    new: Any = next(
        vars(cls)["__new__"]
        for cls in meta.__mro__
        if "__new__" in vars(cls) and not isinstance(vars(cls)["__new__"], staticmethod)
    )
    return new(meta, name, bases, namespace)
