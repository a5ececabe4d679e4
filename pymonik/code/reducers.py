"""How kinds of things are pickled that neither `pickle` nor cloudpickle sends as they are."""

from __future__ import annotations

import _thread
import contextvars
import copyreg
import functools
import sys
import threading
import types
import typing
import weakref
from typing import TYPE_CHECKING, Any, Final

from pymonik.code import arrivals, functions, identities, main_module, places
from pymonik.code.class_making import HEAP_TYPE
from pymonik.code.posing import Asked

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymonik.code.reduction import Reduction

_ABSENT: Final = object()
_PROTOCOL: Final = 5  # of pickle
_new_type: Any = typing.NewType  # to be called with a name that is no literal
# Of classes that say nothing.
_plain_reduce: tuple[Any, Any] = (object.__reduce_ex__, object.__reduce__)


# -- one thing wherever it arrives ---------------------------------------------------------------


def the_one(uid: str, make: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """The object of this id, made now if it is not here yet."""
    known = identities.find(uid)
    if known is not None:
        return known
    made = make(*arguments)
    identities.remember(uid, made)
    return made


def _reduce_the_one(obj: object, make: Callable[..., Any], *arguments: Any) -> Any:
    return the_one, (identities.id_of(obj), make, arguments)


def _reduce_context_variable(pickler: Reduction, variable: Any) -> Any:
    del pickler
    return _reduce_the_one(variable, make_context_variable, variable.name, *_default_of(variable))


def _default_of(variable: contextvars.ContextVar[Any]) -> tuple[Any, ...]:
    try:
        # An empty context has no value of its own: what it gives is the default.
        return (contextvars.Context().run(variable.get),)
    except LookupError:
        return ()


def make_context_variable(name: str, *default: Any) -> Any:
    """A context variable, with a default or without."""
    if default:
        return contextvars.ContextVar(name, default=default[0])
    return contextvars.ContextVar(name)


def _reduce_new_type(pickler: Reduction, made: Any) -> Any:
    del pickler
    if places.is_by_name(made):
        return NotImplemented
    names = (made.__name__, made.__module__, getattr(made, "__qualname__", made.__name__))
    return _reduce_the_one(made, make_new_type, *names, made.__supertype__)


def make_new_type(name: str, module: str, qualname: str, supertype: Any) -> Any:
    """A type of `typing.NewType`."""
    made: Any = _new_type(name, supertype)
    made.__module__, made.__qualname__ = module, qualname
    return made


def _reduce_type_variable(pickler: Reduction, variable: Any) -> Any:
    del pickler
    module = getattr(variable, "__module__", None)
    name = variable.__name__
    if places.travels_by_name(module) and places.found(str(module), name) is variable:
        return NotImplemented
    flags = {
        key: value
        for key in ("covariant", "contravariant", "infer_variance")
        if (value := getattr(variable, f"__{key}__", False))
    }
    if (bound := getattr(variable, "__bound__", None)) is not None:
        flags["bound"] = bound
    if (has_default := getattr(variable, "has_default", None)) is not None and has_default():
        flags["default"] = variable.__default__
    constraints = getattr(variable, "__constraints__", ())
    arguments = (type(variable), module, name, constraints, flags)
    return _reduce_the_one(variable, make_type_variable, *arguments)


def make_type_variable(
    kind: Any, module: str | None, name: str, constraints: tuple[Any, ...], flags: dict[str, Any]
) -> Any:
    """A `TypeVar`, `ParamSpec` or `TypeVarTuple`."""
    made = kind(name, *constraints, **flags)
    made.__module__ = module
    return made


def _reduce_type_alias(pickler: Reduction, alias: Any) -> Any:
    del pickler
    if places.travels_by_name(alias.__module__):
        return NotImplemented
    arguments = (type(alias), alias.__name__, alias.__value__, alias.__type_params__)
    return _reduce_the_one(alias, make_type_alias, *arguments)


def make_type_alias(kind: Any, name: str, value: Any, parameters: tuple[Any, ...]) -> Any:
    """An alias of a ``type`` statement."""
    return kind(name, value, type_params=parameters)


def _reduce_of_parameters(pickler: Reduction, part: Any) -> Any:
    del pickler
    return type(part), (part.__origin__,)


# -- wrappers ------------------------------------------------------------------------------------


def _reduce_cached(pickler: Reduction, wrapper: Any) -> Any:
    """A function of `functools.lru_cache`: what it has cached stays behind."""
    if places.is_by_name(wrapper):
        return NotImplemented
    if not pickler.is_root(wrapper):
        names = getattr(wrapper.__wrapped__, "__globals__", None)
        if names is not None and (place := pickler.place_in_main(wrapper, names)) is not None:
            return place
    attributes = {k: v for k, v in vars(wrapper).items() if k not in _OF_CACHES}
    parameters = wrapper.cache_parameters()
    arguments = (wrapper.__wrapped__, parameters["maxsize"], parameters["typed"])
    return make_cached, arguments, attributes


_OF_CACHES = frozenset({"__wrapped__", "cache_parameters"})


def make_cached(function: Any, maxsize: int | None, typed: bool) -> Any:  # noqa: FBT001 - from a pickle
    """``function`` with an empty cache."""
    return functools.lru_cache(maxsize, typed)(function)


def _reduce_method(pickler: Reduction, method: types.MethodType) -> Any:
    """A method: by its name where its object's class has it."""
    del pickler
    function, owner = method.__func__, method.__self__
    name = getattr(function, "__name__", None)
    for cls in (owner if isinstance(owner, type) else type(owner)).__mro__:
        found = vars(cls).get(name, _ABSENT) if isinstance(name, str) else _ABSENT
        if found is _ABSENT:
            continue
        if (found.__func__ if isinstance(found, classmethod) else found) is not function:
            break
        if isinstance(found, classmethod) is isinstance(owner, type):
            return bound_method, (owner, cls, name)
        break
    return types.MethodType, (function, owner)


def bound_method(owner: Any, cls: type, name: str) -> types.MethodType:
    """The method of that name, as ``cls`` defines it, bound to ``owner``."""
    function = vars(cls)[name]
    return types.MethodType(
        function.__func__ if isinstance(function, classmethod) else function, owner
    )


# -- weak collections ----------------------------------------------------------------------------


def _reduce_weak_mapping(pickler: Reduction, mapping: Any) -> Any:
    del pickler
    # The entries of this moment: while they are pickled, the collector may take some out of the
    # mapping.
    return type(mapping), (), None, None, iter(list(mapping.items()))


def _reduce_weak_reference(pickler: Reduction, reference: Any) -> Any:
    return (weakref.ref, (reference(),)) if pickler.is_code else NotImplemented


# -- locks ---------------------------------------------------------------------------------------


def _reduce_lock(pickler: Reduction, lock: Any) -> Any:
    """A lock of code guards what is of this process: elsewhere a new one guards what is there."""
    del lock
    return (threading.Lock, ()) if pickler.is_code else NotImplemented


def _reduce_reentrant_lock(pickler: Reduction, lock: Any) -> Any:
    del lock
    return (threading.RLock, ()) if pickler.is_code else NotImplemented


def _reduce_local(pickler: Reduction, local: Any) -> Any:
    del local
    return (threading.local, ()) if pickler.is_code else NotImplemented


# -- objects that pose as others -----------------------------------------------------------------


def reduce_posing(pickler: Reduction, obj: Any) -> Any:
    """What its class says, as `pickle` refuses an object whose ``__class__`` is not its class.

    In code, a proxy such as Flask's ``request`` is that of the module that has it: what it stands
    for, if anything, is of one process.
    """
    if pickler.is_code and (found := _by_any_module(obj)) is not NotImplemented:
        pickler.note_module(found[1][0])
        return found
    reduced = obj.__reduce_ex__(_PROTOCOL)
    if not isinstance(reduced, tuple) or reduced[0] is not copyreg.__newobj__:  # type: ignore[attr-defined]
        return reduced
    return (new_object, *reduced[1:])


def new_object(kind: Any, *arguments: Any) -> Any:
    """An object without its state; stands in pickles by its name."""
    return kind.__new__(kind, *arguments)


# -- sentinels -----------------------------------------------------------------------------------


@Asked
def may_be_sentinel(kind: type) -> bool:
    """Whether objects of this class have nothing but an identity, as ``MISSING = object()``."""
    if kind is object:
        return True
    return (
        # A larger object keeps something in C, which this could not see.
        kind.__basicsize__ <= _LARGEST_SENTINEL
        and (kind.__reduce_ex__, kind.__reduce__) == _plain_reduce
        and not hasattr(kind, "__getnewargs__")
        and not hasattr(kind, "__getnewargs_ex__")
        and getattr(kind, "__getstate__", None) is getattr(object, "__getstate__", None)
        and bool(kind.__flags__ & HEAP_TYPE)
        and not any(map(_has_slots, kind.__mro__))
    )


def _has_slots(kind: type) -> bool:
    """Whether objects hold something in slots of this class."""
    return any(type(one) is types.MemberDescriptorType for one in vars(kind).values())


class _Empty:
    """As large as an object that has attributes in its ``__dict__`` only."""


_LARGEST_SENTINEL: Final = _Empty.__basicsize__


def reduce_sentinel(pickler: Reduction, obj: Any) -> Any:
    """What `pickle` takes for an object without content: the name under which a module has it."""
    kind = type(obj)
    if kind is not object and has_attributes(obj):
        return NotImplemented
    if kind is not object and kind.__module__ not in main_module.MAIN_NAMES:
        return _by_module(obj, kind.__module__)
    if pickler.is_root(obj):
        return _by_any_module(obj) if kind is object else NotImplemented
    current = main_module.current_names()
    if current is not None:
        name = next((name for name, value in list(current[1].items()) if value is obj), None)
        if name is not None:
            pickler.need_names(current[1], (name,))
            return arrivals.value_in_main, (current[0], name)
    if kind is not object:
        return NotImplemented
    found = _by_any_module(obj)
    if found is not NotImplemented or not pickler.is_code:
        return found
    return _reduce_the_one(obj, object)


def _by_any_module(obj: object) -> Any:
    """The name under which an imported module has an ``object()``; ``__main__`` may have it too."""
    for module in list(sys.modules):
        if (found := _by_module(obj, module)) is not NotImplemented:
            return found
    return NotImplemented


def has_attributes(obj: object) -> bool:
    """Whether an object has anything in its ``__dict__``."""
    try:
        return bool(object.__getattribute__(obj, "__dict__"))
    except AttributeError:  # the object has slots, and no ``__dict__``
        return False


def _by_module(obj: object, module: str) -> Any:
    if not places.travels_by_name(module):
        return NotImplemented
    names = getattr(sys.modules[module], "__dict__", {})
    name = next((name for name, value in list(names.items()) if value is obj), None)
    if name is None:
        return NotImplemented
    return functions.by_name, (module, name)


REDUCERS: dict[type, Callable[[Any, Any], Any]] = {
    contextvars.ContextVar: _reduce_context_variable,
    typing.NewType: _reduce_new_type,
    typing.TypeVar: _reduce_type_variable,
    typing.ParamSpec: _reduce_type_variable,
    typing.ParamSpecArgs: _reduce_of_parameters,
    typing.ParamSpecKwargs: _reduce_of_parameters,
    functools._lru_cache_wrapper: _reduce_cached,
    types.MethodType: _reduce_method,
    weakref.WeakKeyDictionary: _reduce_weak_mapping,
    weakref.WeakValueDictionary: _reduce_weak_mapping,
    weakref.ref: _reduce_weak_reference,
    _thread.LockType: _reduce_lock,
    type(threading.RLock()): _reduce_reentrant_lock,
    threading.local: _reduce_local,
}
for _name, _reduce in (
    ("TypeVarTuple", _reduce_type_variable),
    ("TypeAliasType", _reduce_type_alias),
):
    if (_kind := getattr(typing, _name, None)) is not None:
        REDUCERS[_kind] = _reduce
