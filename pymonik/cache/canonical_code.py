"""Code in a digest: functions and classes by what they do, whatever else is code by its name."""

from __future__ import annotations

import abc
import ast
import enum
import functools
import hashlib
import sys
import types
from typing import TYPE_CHECKING, Any, Final

from pymonik.cache.codes import Part, digest_of_code, part_of
from pymonik.code import by_text, functions, main_module, places, statements
from pymonik.code.class_making import HEAP_TYPE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pymonik.cache.walk import Walk
    from pymonik.code.references import Named

# Attributes of classes that say nothing of what the class does, or that differ between processes.
_NOT_OF_CLASSES: Final = frozenset(
    {
        *("__dict__", "__weakref__", "__module__", "__firstlineno__", "__static_attributes__"),
        *("_abc_impl", "__annotations__", "__annotations_cache__", "__annotate_func__"),
    }
)
# What an enumeration has of its members, which are written one by one.
_OF_ENUMS: Final = frozenset(
    {
        *("_member_names_", "_member_map_", "_value2member_map_", "_unhashable_values_"),
        *("_hashable_values_", "_unhashable_values_map_", "__new__"),
    }
)
_OF_MEMBERS: Final = frozenset({"__objclass__", "_sort_order_", "_hash_"})  # of each member
# The code of every function that `functools.singledispatch` makes: one of them is known by its
# registry.
_SINGLE_DISPATCH: Final = functools.singledispatch(lambda _: None).__code__  # type: ignore[attr-defined]
_EMPTY_CELL: Final = b"cell without a value"
# The mark of a name that is not there, as ``None`` is a value.
_UNKNOWN: Final = object()


def task(walk: Walk, value: Named) -> None:
    """A task: by its name, or by what it consists of."""
    if places.is_by_name(value):  # its module tells the rest
        walk.named(str(value.__module__), str(getattr(value, "__qualname__", "")))
        return
    walk.tag("task")
    walk.all(value.essence())


def module(walk: Walk, value: types.ModuleType) -> None:
    """A module: by its name, or by its content if it was made by hand."""
    name = value.__name__
    if places.travels_by_name(name) and sys.modules.get(name) is value:
        walk.named(name, "")
        return
    walk.tag("module")
    if main_module.main_id_of(vars(value)) is None:  # made by hand: it travels with its names
        _names(walk, vars(value))


def builtin(walk: Walk, value: Any) -> None:
    """A function written in C, by its name; of an object, with the object."""
    owner = value.__self__
    if owner is None or isinstance(owner, types.ModuleType):
        walk.named(str(value.__module__), value.__qualname__)
        return
    walk.tag("method of an object")
    walk.all((value.__name__, owner))


def descriptor(walk: Walk, value: Any) -> None:
    """An attribute of a class written in C."""
    walk.tag("descriptor")
    walk.all((type(value).__name__, value.__name__))


def code_(walk: Walk, value: types.CodeType) -> None:
    """A code object, by what it does."""
    walk.write(digest_of_code(value))
    walk.codes.append(value)


def function(walk: Walk, value: types.FunctionType) -> None:
    """A function: by its name, or by its code and all that the code reaches."""
    if places.is_by_name(value):
        walk.named(value.__module__, value.__qualname__)
        return
    if value.__code__ is _SINGLE_DISPATCH:
        walk.tag("dispatch")
        # Its closure holds caches beside the registry, which a call fills.
        walk.add(dict(value.registry))  # type: ignore[attr-defined]
        return
    walk.tag("function")
    code = value.__code__
    walk.parts.append(part_of(code, value.__qualname__.replace("<locals>.", "")))
    code_(walk, code)
    walk.all((value.__defaults__, value.__kwdefaults__))
    _names(walk, vars(value))
    _annotations(walk, value.__annotations__, value.__globals__)
    for cell in value.__closure__ or ():
        walk.add(cell)
    _globals(walk, value)


def _globals(walk: Walk, function: types.FunctionType) -> None:
    names = function.__globals__
    home = places.home_of(names)
    if home is not None:  # the function is put into its module, whose file tells the rest
        walk.named(home.__name__, "")
        return
    wanted = set(functions.names_of(function.__code__))
    if main_module.main_id_of(names) is not None and by_text.is_used_by(function.__code__, names):
        wanted.update(by_text.meant_by(function.__code__, names))
    # Builtins are not among the globals and are passed over: Python's version is part of the
    # key.
    for name in sorted(wanted):
        value = names.get(name, _UNKNOWN)
        if value is _UNKNOWN or name in main_module.OF_EACH_MODULE:
            continue
        walk.add(name)
        walk.note_variable(name, value)
        walk.add(value)


def _annotations(walk: Walk, annotations: Any, names: dict[str, Any]) -> None:
    """Libraries make things of annotations: what they name counts, as text or as itwalk."""
    if not isinstance(annotations, dict) or not annotations:
        return
    walk.tag("annotations", len(annotations))
    for name, one in annotations.items():
        walk.add(name)
        if not walk.can_digest(one):
            one = repr(one) if " at 0x" not in repr(one) else type(one).__name__
        walk.add(one)
    if places.home_of(names) is None:
        for word in sorted(functions.names_in_annotations(annotations)):
            if word in names and word not in main_module.OF_EACH_MODULE:
                walk.add(word)
                walk.add(names[word])


def cell(walk: Walk, value: types.CellType) -> None:
    """A variable of an outer function."""
    walk.tag("cell")
    try:
        content = value.cell_contents
    except ValueError:
        walk.write(_EMPTY_CELL)
        return
    walk.add(content)


def wrapper(walk: Walk, value: Any) -> None:
    """A static method or a class method."""
    walk.tag(type(value).__name__)
    walk.add(value.__func__)


def property_(walk: Walk, value: property) -> None:
    """A property."""
    walk.tag("property")
    walk.all((value.fget, value.fset, value.fdel))


def cached_function(walk: Walk, value: Any) -> None:
    """A function under `functools.lru_cache`; what the cache holds does not count."""
    walk.tag("lru_cache")
    walk.all((value.__wrapped__, value.cache_parameters()))


def method(walk: Walk, value: types.MethodType) -> None:
    """A method of an object."""
    walk.tag("method")
    walk.all((value.__func__, value.__self__))


def lock(walk: Walk, value: object) -> None:
    """A lock, which is made anew where it arrives."""
    walk.tag(f"lock {type(value).__name__}")  # made anew where it arrives


def class_(walk: Walk, value: type) -> None:
    """A class: by its name, or by all that its statement says."""
    # A class made in C has no code to look at; its package counts by what is installed.
    if places.is_by_name(value) or not value.__flags__ & HEAP_TYPE:
        walk.named(value.__module__, value.__qualname__)
        return
    walk.tag("class")
    walk.add(value.__qualname__)
    if statements.is_tied(value) and (found := statements.statement_of(value)) is not None:
        _statement(walk, value, *found)
        return
    walk.all((type(value), *value.__bases__))
    if issubclass(value, enum.Enum):
        _enum(walk, value)
    else:
        _names(walk, vars(value), left_out=_NOT_OF_CLASSES)
    _registered(walk, value)
    in_main = value.__module__ in main_module.MAIN_NAMES
    _annotations(walk, vars(value).get("__annotations__"), _main_names() if in_main else {})
    _note_class(walk, value)


def _registered(walk: Walk, cls: type) -> None:
    """Classes for which `isinstance` says yes since somebody registered them with this one.

    They travel with the class, see `pymonik.code.classes`; those that only inherit from it are
    in no registry. Sorted, since a registry is a set of references.
    """
    if "_abc_impl" not in vars(cls):
        return
    references = abc._get_dump(cls)[0]  # type: ignore[attr-defined]
    others = [one for reference in references if (one := reference()) is not None]
    walk.tag("registered", len(others))
    for other in sorted(others, key=lambda one: (one.__module__, one.__qualname__)):
        walk.add(other)


def _note_class(walk: Walk, cls: type) -> None:
    for name, one in sorted(vars(cls).items()):
        function = getattr(one, "__func__", getattr(one, "fget", one))
        if isinstance(function, types.FunctionType) and function.__module__ == cls.__module__:
            walk.parts.append(part_of(function.__code__, f"{cls.__qualname__}.{name}"))


def _statement(walk: Walk, cls: type, file: str, first: int, text: str) -> None:
    """A class that a library made: its statement, and the names of the script in that."""
    tree = ast.parse(text)
    walk.add(ast.dump(tree))
    code = compile(tree, file, "exec", dont_inherit=True)
    digest = hashlib.sha256(ast.dump(tree).encode("utf-8", "surrogatepass")).hexdigest()[:16]
    last = first + text.count("\n")
    walk.parts.append(Part(cls.__qualname__, digest, file, first, last))
    walk.codes.append(code)
    known = _main_names()
    for name in sorted(functions.names_of(code)):
        if name in known and name not in {cls.__name__, *main_module.OF_EACH_MODULE}:
            walk.add(name)
            walk.add(known[name])


def _enum(walk: Walk, cls: Any) -> None:
    members = cls.__members__
    names = {k: v for k, v in vars(cls).items() if k not in members and k not in _OF_ENUMS}
    _names(walk, names, left_out=_NOT_OF_CLASSES)
    walk.tag("members", len(members))
    for name, member in members.items():
        walk.add(name)
        walk.add({k: v for k, v in vars(member).items() if k not in _OF_MEMBERS})


def member(walk: Walk, value: enum.Enum) -> None:
    """A member of an enumeration."""
    walk.tag("member")
    _class_once(walk, type(value))
    walk.all((value.name, value.value))


def _class_once(walk: Walk, cls: type) -> None:
    if not walk.is_known(cls):
        class_(walk, cls)


def _names(walk: Walk, names: Mapping[Any, Any], left_out: frozenset[str] = frozenset()) -> None:
    kept = [name for name in names if isinstance(name, str) and name not in left_out]
    walk.tag("names", len(kept))
    for name in sorted(kept):
        walk.add(name)
        walk.add(names[name])


def new_type(walk: Walk, value: Any) -> None:
    """What `typing.NewType` makes."""
    walk.tag("new type")
    walk.all((value.__name__, value.__supertype__))


def type_variable(walk: Walk, value: Any) -> None:
    """A type variable."""
    walk.tag("type variable")
    walk.all((value.__name__, getattr(value, "__bound__", None)))
    walk.add(getattr(value, "__constraints__", ()))


def compiled_by_numba(walk: Walk, value: Any) -> None:
    """A function that numba has compiled, by what it was before."""
    walk.tag("numba")
    walk.all((value.py_func, dict(value.targetoptions)))


def _main_names() -> dict[str, Any]:
    return vars(sys.modules["__main__"])
