"""Values as a digest: the same in every process for what a task cannot tell apart.

What a worker gets of a value is its pickle, so objects are taken apart as `pickle` does; what runs
of a class or a function is its code, so these are taken apart further. Types count, the order of a
dict and of a list counts, that of a set does not. An object that is reached twice is noted as the
same one: a task may change it in one place and see that in the other.
"""

from __future__ import annotations

import abc
import ast
import contextlib
import contextvars
import copyreg
import enum
import functools
import hashlib
import sys
import threading
import types
import typing
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pymonik.cache.codes import Part, atom, digest_of_code, part_of
from pymonik.code import by_text, first_party, functions, main_module, places, statements
from pymonik.code.class_making import HEAP_TYPE
from pymonik.code.references import Enclosed, Known, Named, Referable, ReferableGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pymonik.session.result import ResultState

# Values that have no parts. They get no number in `_seen`: whether two of them are one object is an
# accident of the interpreter.
_ATOMS: Final = frozenset(
    {str, int, float, bool, bytes, complex, type(None), type(Ellipsis), type(NotImplemented)}
)
_MOST_OBJECTS: Final = 1_000_000  # of one value: whoever has more does not wait for a digest of it
_PROTOCOL: Final = 4  # with a higher one arrays give buffers that stand outside of the pickle
# Locks cannot be pickled; pymonik makes new ones where they arrive.
_LOCKS: Final = (type(threading.Lock()), type(threading.RLock()))
# What classes that are written in C have for their attributes: known by kind and name.
_DESCRIPTORS: Final = (
    *(types.GetSetDescriptorType, types.MemberDescriptorType, types.WrapperDescriptorType),
    *(types.MethodDescriptorType, types.ClassMethodDescriptorType, types.MethodWrapperType),
)
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
# A subclass that keeps these is pickled as a set, in an order that differs between processes.
_REDUCE_OF_SETS: Final = (set.__reduce__, frozenset.__reduce__)
# The code of every function that `functools.singledispatch` makes: one of them is known by its
# registry.
_SINGLE_DISPATCH: Final = functools.singledispatch(lambda _: None).__code__  # type: ignore[attr-defined]
_EMPTY_CELL: Final = b"cell without a value"
_HAVE_PARTS: Final = (types.FunctionType, type, types.ModuleType, Named)
# The mark of a name that is not there, as ``None`` is a value.
_UNKNOWN: Final = object()


class CannotDigestError(Exception):
    """A value, or part of it, of which nobody can tell whether it is the same elsewhere."""


class Digested(NamedTuple):
    """What is known of a value.

    Attributes:
        digest: Of the value.
        modules: Those that it refers to by name and that travel as files.
        packages: Top-level names of installed packages that it refers to.
        parts: Functions, classes and variables that it consists of.
        mentions: Code objects that were met, for what they import.
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
    walk = _Walk(key_of, takes_files=takes_files)
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


class _Walk:
    """Goes through a value, and writes what it finds into a digest."""

    def __init__(
        self,
        key_of: Callable[[ResultState], bytes] | None,
        *,
        notes_parts: bool = True,
        takes_files: bool = False,
    ) -> None:
        self._takes_files = takes_files
        self._key_of = key_of
        self._notes_parts = notes_parts
        self._hash = hashlib.sha256()
        # By address: the number of the object, and the object, so that no address is used twice.
        self._seen: dict[int, tuple[int, object]] = {}
        self.modules: set[str] = set()
        self.packages: set[str] = set()
        self.parts: list[Part] = []
        self.codes: list[types.CodeType] = []

    def digest(self) -> bytes:
        """The digest of all that was added."""
        return self._hash.digest()

    def add(self, value: Any) -> None:
        """Go through one more value."""
        kind = type(value)
        if kind in _ATOMS:
            self._hash.update(atom(value))
        elif not self._is_known(value):
            self._write_of(kind)(self, value)

    def _is_known(self, value: object) -> bool:
        """Whether the object was met before, which is then noted; from now on it was."""
        known = self._seen.get(id(value))
        if known is not None:
            self._hash.update(b"again%d:" % known[0])
            return True
        if len(self._seen) >= _MOST_OBJECTS:
            raise CannotDigestError(f"it has more than {_MOST_OBJECTS} objects")
        # Numbers and not addresses go into the digest: the order in which objects are met is the
        # same in every process.
        self._seen[id(value)] = len(self._seen), value
        return False

    def _write_of(self, kind: type) -> Callable[[_Walk, Any], None]:
        write = _WRITERS.get(kind)
        if write is not None:
            return write
        for base, of_subclass in _SUBCLASSES:
            if issubclass(kind, base):
                return of_subclass
        # By name: nothing is imported here for programs that do not use these packages.
        if kind.__module__ == "numpy" and kind.__name__ == "ndarray":
            return _Walk._array
        if kind.__module__.startswith("numba.") and hasattr(kind, "py_func"):
            return _Walk._compiled_by_numba
        return _Walk._object

    def tag(self, name: str, number: int = 0) -> None:
        """Write what kind of thing follows, and how many parts it has."""
        self._hash.update(b"<%s %d>" % (name.encode("utf-8", "surrogatepass"), number))

    def all(self, values: Iterable[object]) -> None:
        """Go through several values."""
        for value in values:
            self.add(value)

    # -- containers ----------------------------------------------------------------------------

    def _list(self, value: list[object] | tuple[object, ...]) -> None:
        self.tag(type(value).__name__, len(value))
        self.all(value)

    def _dict(self, value: Mapping[object, object]) -> None:
        self.tag("dict", len(value))
        for key, one in list(value.items()):
            self.add(key)
            self.add(one)

    def _set(self, value: set[object] | frozenset[object]) -> None:
        self.tag(type(value).__name__, len(value))
        # Sorted by digest: the order of a set depends on addresses and on the seed of hashes.
        for digest in sorted(map(self._alone, value)):
            self._hash.update(digest)

    def _alone(self, member: object) -> bytes:
        """The digest of a member of a set, which has no order to number objects in."""
        if type(member) in _ATOMS:
            return hashlib.sha256(atom(member)).digest()
        walk = _Walk(self._key_of, notes_parts=self._notes_parts)
        walk.add(member)
        self._take(walk)
        return walk.digest()

    def _take(self, walk: _Walk) -> None:
        self.modules |= walk.modules
        self.packages |= walk.packages
        self.parts += walk.parts
        self.codes += walk.codes

    def _bytes(self, value: bytearray | memoryview) -> None:
        view = memoryview(value)
        self.tag(type(value).__name__)
        self.all((view.format, view.shape))
        self._hash.update(view.tobytes())

    def _array(self, value: Any) -> None:
        """An array as it arrives: of one piece, in the order of C or in that of Fortran."""
        if value.dtype.hasobject:
            self._object(value)
            return
        is_fortran = value.flags.f_contiguous and not value.flags.c_contiguous
        self.tag("ndarray fortran" if is_fortran else "ndarray", value.ndim)
        self._class(type(value))
        self.add(tuple(map(int, value.shape)))
        self.add(value.dtype)
        # The transposed array is of one piece in the order of C, so `tobytes` takes the bytes as
        # they lie.
        order = value.T if is_fortran else value
        self._hash.update(order.tobytes())

    # -- references ----------------------------------------------------------------------------

    def _handle(self, value: Referable) -> None:
        if self._key_of is None:
            raise CannotDigestError("it holds a handle")
        self.tag("handle")
        self._hash.update(self._key_of(value._state))

    def _file(self, value: Enclosed) -> None:
        if not self._takes_files:
            raise CannotDigestError(
                "it holds a file, whose bytes may be deleted before the value is"
            )
        ref = value._seal().ref
        self.tag("file")
        self.all((ref.name, ref.size, ref.digest, ref.is_folder, ref.is_executable))

    def _handles(self, value: ReferableGroup) -> None:
        self._list(list(value._members()))

    def _task(self, value: Named) -> None:
        if places.is_by_name(value):  # its module tells the rest
            self._named(str(value.__module__), str(getattr(value, "__qualname__", "")))
            return
        self.tag("task")
        self.all(value.essence())

    # -- by name -------------------------------------------------------------------------------

    def _named(self, module: str, name: str) -> None:
        """What is imported where the call runs."""
        self.tag("name")
        self.all((module, name))
        if first_party.travels(module):
            self.modules.add(module)
        else:
            self.packages.add(module.partition(".")[0])

    def _module(self, value: types.ModuleType) -> None:
        name = value.__name__
        if places.travels_by_name(name) and sys.modules.get(name) is value:
            self._named(name, "")
            return
        self.tag("module")
        if main_module.main_id_of(vars(value)) is None:  # made by hand: it travels with its names
            self._names(vars(value))

    def _builtin(self, value: Any) -> None:
        owner = value.__self__
        if owner is None or isinstance(owner, types.ModuleType):
            self._named(str(value.__module__), value.__qualname__)
            return
        self.tag("method of an object")
        self.all((value.__name__, owner))

    def _descriptor(self, value: Any) -> None:
        self.tag("descriptor")
        self.all((type(value).__name__, value.__name__))

    # -- code ----------------------------------------------------------------------------------

    def _code(self, value: types.CodeType) -> None:
        self._hash.update(digest_of_code(value))
        self.codes.append(value)

    def _function(self, value: types.FunctionType) -> None:
        if places.is_by_name(value):
            self._named(value.__module__, value.__qualname__)
            return
        if value.__code__ is _SINGLE_DISPATCH:
            self.tag("dispatch")
            # Its closure holds caches beside the registry, which a call fills.
            self.add(dict(value.registry))  # type: ignore[attr-defined]
            return
        self.tag("function")
        code = value.__code__
        self.parts.append(part_of(code, value.__qualname__.replace("<locals>.", "")))
        self._code(code)
        self.all((value.__defaults__, value.__kwdefaults__))
        self._names(vars(value))
        self._annotations(value.__annotations__, value.__globals__)
        for cell in value.__closure__ or ():
            self.add(cell)
        self._globals(value)

    def _globals(self, function: types.FunctionType) -> None:
        names = function.__globals__
        home = places.home_of(names)
        if home is not None:  # the function is put into its module, whose file tells the rest
            self._named(home.__name__, "")
            return
        wanted = set(functions.names_of(function.__code__))
        if main_module.main_id_of(names) is not None and by_text.is_used_by(
            function.__code__, names
        ):
            wanted.update(by_text.meant_by(function.__code__, names))
        # Builtins are not among the globals and are passed over: Python's version is part of the
        # key.
        for name in sorted(wanted):
            value = names.get(name, _UNKNOWN)
            if value is _UNKNOWN or name in main_module.OF_EACH_MODULE:
                continue
            self.add(name)
            self._note_variable(name, value)
            self.add(value)

    def _note_variable(self, name: str, value: object) -> None:
        """Variables are parts of their own for people who ask what has changed."""
        if not self._notes_parts or isinstance(value, _HAVE_PARTS):
            return
        walk = _Walk(self._key_of, notes_parts=False)  # or each level would double the work
        walk.add(value)
        self.parts.append(Part(f"variable {name}", walk.digest().hex()[:16]))

    def _annotations(self, annotations: Any, names: dict[str, Any]) -> None:
        """Libraries make things of annotations: what they name counts, as text or as itself."""
        if not isinstance(annotations, dict) or not annotations:
            return
        self.tag("annotations", len(annotations))
        for name, one in annotations.items():
            self.add(name)
            try:
                # Tried on its own first: half of an annotation must not be in the digest.
                digest_of(one)
            except CannotDigestError:
                one = repr(one) if " at 0x" not in repr(one) else type(one).__name__
            self.add(one)
        if places.home_of(names) is None:
            for word in sorted(functions.names_in_annotations(annotations)):
                if word in names and word not in main_module.OF_EACH_MODULE:
                    self.add(word)
                    self.add(names[word])

    def _cell(self, value: types.CellType) -> None:
        self.tag("cell")
        try:
            content = value.cell_contents
        except ValueError:
            self._hash.update(_EMPTY_CELL)
            return
        self.add(content)

    def _wrapper(self, value: Any) -> None:
        self.tag(type(value).__name__)
        self.add(value.__func__)

    def _property(self, value: property) -> None:
        self.tag("property")
        self.all((value.fget, value.fset, value.fdel))

    def _cached_function(self, value: Any) -> None:
        self.tag("lru_cache")
        self.all((value.__wrapped__, value.cache_parameters()))

    def _method(self, value: types.MethodType) -> None:
        self.tag("method")
        self.all((value.__func__, value.__self__))

    def _lock(self, value: object) -> None:
        self.tag(f"lock {type(value).__name__}")  # made anew where it arrives

    def _class(self, value: type) -> None:
        # A class made in C has no code to look at; its package counts by what is installed.
        if places.is_by_name(value) or not value.__flags__ & HEAP_TYPE:
            self._named(value.__module__, value.__qualname__)
            return
        self.tag("class")
        self.add(value.__qualname__)
        if statements.is_tied(value) and (found := statements.statement_of(value)) is not None:
            self._statement(value, *found)
            return
        self.all((type(value), *value.__bases__))
        if issubclass(value, enum.Enum):
            self._enum(value)
        else:
            self._names(vars(value), left_out=_NOT_OF_CLASSES)
        self._registered(value)
        in_main = value.__module__ in main_module.MAIN_NAMES
        self._annotations(vars(value).get("__annotations__"), _main_names() if in_main else {})
        self._note_class(value)

    def _registered(self, cls: type) -> None:
        """Classes for which `isinstance` says yes since somebody registered them with this one.

        They travel with the class, see `pymonik.code.classes`; those that only inherit from it are
        in no registry. Sorted, since a registry is a set of references.
        """
        if "_abc_impl" not in vars(cls):
            return
        references = abc._get_dump(cls)[0]  # type: ignore[attr-defined]
        others = [one for reference in references if (one := reference()) is not None]
        self.tag("registered", len(others))
        for other in sorted(others, key=lambda one: (one.__module__, one.__qualname__)):
            self.add(other)

    def _note_class(self, cls: type) -> None:
        for name, one in sorted(vars(cls).items()):
            function = getattr(one, "__func__", getattr(one, "fget", one))
            if isinstance(function, types.FunctionType) and function.__module__ == cls.__module__:
                self.parts.append(part_of(function.__code__, f"{cls.__qualname__}.{name}"))

    def _statement(self, cls: type, file: str, first: int, text: str) -> None:
        """A class that a library made: its statement, and the names of the script in that."""
        tree = ast.parse(text)
        self.add(ast.dump(tree))
        code = compile(tree, file, "exec", dont_inherit=True)
        digest = hashlib.sha256(ast.dump(tree).encode("utf-8", "surrogatepass")).hexdigest()[:16]
        last = first + text.count("\n")
        self.parts.append(Part(cls.__qualname__, digest, file, first, last))
        self.codes.append(code)
        known = _main_names()
        for name in sorted(functions.names_of(code)):
            if name in known and name not in {cls.__name__, *main_module.OF_EACH_MODULE}:
                self.add(name)
                self.add(known[name])

    def _enum(self, cls: Any) -> None:
        members = cls.__members__
        names = {k: v for k, v in vars(cls).items() if k not in members and k not in _OF_ENUMS}
        self._names(names, left_out=_NOT_OF_CLASSES)
        self.tag("members", len(members))
        for name, member in members.items():
            self.add(name)
            self.add({k: v for k, v in vars(member).items() if k not in _OF_MEMBERS})

    def _member(self, value: enum.Enum) -> None:
        self.tag("member")
        self._class_once(type(value))
        self.all((value.name, value.value))

    def _class_once(self, cls: type) -> None:
        if not self._is_known(cls):
            self._class(cls)

    def _names(self, names: Mapping[Any, Any], left_out: frozenset[str] = frozenset()) -> None:
        kept = [name for name in names if isinstance(name, str) and name not in left_out]
        self.tag("names", len(kept))
        for name in sorted(kept):
            self.add(name)
            self.add(names[name])

    # -- anything else -------------------------------------------------------------------------

    def _set_of_class(self, value: Any) -> None:
        """A set of a subclass: `pickle` would give its members in any order."""
        kind: Any = type(value)
        if kind.__reduce__ not in _REDUCE_OF_SETS or kind.__reduce_ex__ is not object.__reduce_ex__:
            self._object(value)
            return
        # The class and what the instance has beside its members count, as in the pickle of an
        # object.
        self.add(type(value))
        self._set(value)
        self.add(getattr(value, "__dict__", None))

    def _context_variable(self, value: contextvars.ContextVar[Any]) -> None:
        self.tag("context variable")
        self.add(value.name)
        with contextlib.suppress(LookupError):  # in an empty context it has its default or nothing
            self.add(contextvars.Context().run(value.get))

    def _new_type(self, value: Any) -> None:
        self.tag("new type")
        self.all((value.__name__, value.__supertype__))

    def _type_variable(self, value: Any) -> None:
        self.tag("type variable")
        self.all((value.__name__, getattr(value, "__bound__", None)))
        self.add(getattr(value, "__constraints__", ()))

    def _compiled_by_numba(self, value: Any) -> None:
        self.tag("numba")
        self.all((value.py_func, dict(value.targetoptions)))

    def _object(self, value: Any) -> None:
        reduced = _reduced(value)
        if isinstance(reduced, str):
            module = getattr(value, "__module__", None) or "__main__"
            if places.travels_by_name(module):
                self._named(module, reduced)
                return
            raise CannotDigestError(f"a {type(value).__name__} that no module has by its name")
        # The tuple has two to six parts, as the protocol of `pickle` says: what is left out is
        # ``None``.
        parts: list[Any] = list(reduced)
        make, arguments, state, items, pairs, setter = parts + [None] * (6 - len(parts))
        self.tag("object", len(parts))
        self.all((make, arguments, state, setter))
        if items is not None:
            self._list(list(items))
        if pairs is not None:
            self._dict(dict(pairs))


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


_OF_MEMBERS: Final = frozenset({"__objclass__", "_sort_order_", "_hash_"})
# Exact types first, as most values have one of these; subclasses are looked for one by one.
_WRITERS: Final[dict[type, Callable[[_Walk, Any], None]]] = {
    list: _Walk._list,
    tuple: _Walk._list,
    dict: _Walk._dict,
    set: _Walk._set,
    frozenset: _Walk._set,
    bytearray: _Walk._bytes,
    memoryview: _Walk._bytes,
    types.MappingProxyType: _Walk._dict,
    types.FunctionType: _Walk._function,
    types.CodeType: _Walk._code,
    types.CellType: _Walk._cell,
    types.BuiltinFunctionType: _Walk._builtin,
    types.MethodType: _Walk._method,
    staticmethod: _Walk._wrapper,
    classmethod: _Walk._wrapper,
    property: _Walk._property,
    functools._lru_cache_wrapper: _Walk._cached_function,
    contextvars.ContextVar: _Walk._context_variable,
    typing.NewType: _Walk._new_type,
    typing.TypeVar: _Walk._type_variable,
    typing.ParamSpec: _Walk._type_variable,
    **dict.fromkeys(_DESCRIPTORS, _Walk._descriptor),
    **dict.fromkeys(_LOCKS, _Walk._lock),
}
_SUBCLASSES: Final[tuple[tuple[type, Callable[[_Walk, Any], None]], ...]] = (
    (Named, _Walk._task),
    (Enclosed, _Walk._file),
    (Known, lambda walk, value: walk.add(value.known_value())),
    (Referable, _Walk._handle),
    (ReferableGroup, _Walk._handles),
    (type, _Walk._class),
    (types.ModuleType, _Walk._module),
    (enum.Enum, _Walk._member),
    (set, _Walk._set_of_class),
    (frozenset, _Walk._set_of_class),
)


def _main_names() -> dict[str, Any]:
    return vars(sys.modules["__main__"])
