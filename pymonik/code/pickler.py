"""`Pickler`: cloudpickle with reducers of our own, one for each kind of thing that needs care.

A pickle may refer to *definitions*, which travel beside it: classes by value, and names of the
program's ``__main__``. The pickler notes which it refers to; `pymonik.code.gathering` makes them.
"""

from __future__ import annotations

import enum
import io
import pickle
import types
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import cloudpickle

from pymonik.code import (
    arrivals,
    classes,
    closure,
    enums,
    first_party,
    functions,
    main_module,
    places,
    posing,
    reducers,
)
from pymonik.code.imports import imported_names
from pymonik.code.references import Enclosed, Known, Named, Referable, ReferableGroup, Sealed
from pymonik.errors import SerializationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    _Reducer = Callable[[Any, Any], Any]

_REDUCERS: Final = {**functions.REDUCERS, **reducers.REDUCERS}
_SUBCLASSES: Final[tuple[tuple[type, _Reducer], ...]] = (
    (Named, lambda pickler, obj: pickler.reduce_named(obj)),
    (Known, lambda _, obj: (_itself, (obj.known_value(),))),
    (Referable, lambda pickler, obj: (_slot, (pickler.slot_of(obj),))),
    (ReferableGroup, lambda _, obj: (list, (list(obj._members()),))),
    (Enclosed, lambda pickler, obj: (_file, (pickler.file_slot_of(obj),))),
    (enum.Enum, enums.reduce_member),
    (types.ModuleType, functions.reduce_module),
)


_OF_MODULES: Final = (types.FunctionType, type, types.ModuleType, Named)


def _reducer_of(kind: type) -> _Reducer | None:
    """What pickles objects of this class; ``None`` for all that `pickle` can do alone."""
    if (reduce := _REDUCERS.get(kind)) is not None:
        return reduce
    if issubclass(kind, type):
        return classes.reduce_class
    for base, of_subclass in _SUBCLASSES:
        if issubclass(kind, base):
            return of_subclass
    if posing.may_pose(kind):
        return reducers.reduce_posing
    return reducers.reduce_sentinel if reducers.may_be_sentinel(kind) else None


_NOTHING: Final[dict[int, object]] = {}


class Need(NamedTuple):
    """A definition to which a pickle refers.

    Attributes:
        names: Of the ``__main__`` that has the name; ``None`` for a class.
        target: The name, or the class.
        is_optional: Whether the program may well do without it.
        any_size: Whether it travels, if it is optional, however large it is.
    """

    names: dict[str, Any] | None
    target: Any
    is_optional: bool = False
    any_size: bool = False


class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Pickles one value.

    Args:
        roots: Objects that are pickled by value although they could be referred to: what is
            defined.
        by_statement: A class is made by running its statement again; see `pymonik.code.statements`.
        is_code: Locks in it are those of code: they are made anew where the code runs, as they
            would be if the module were imported there. In data, a lock is an error.
        buffer_callback: As in `pickle`.

    Attributes:
        needs: Definitions that the pickle refers to, by key.
        refs: Handles that were found, by slot.
        files: Files that were found, by slots of their own.
        modules: Those that travel as files and to which the pickle refers.
        compiled: The name of the first code in it that travels by value, ``""`` where none does.
    """

    def __init__(
        self,
        *,
        roots: Iterable[object] = (),
        by_statement: bool = False,
        is_code: bool = False,
        buffer_callback: Callable[[pickle.PickleBuffer], bool] | None = None,
    ) -> None:
        self._file = io.BytesIO()
        # Past cloudpickle's own, which prepares what only its reducers of functions need: a pickler
        # is made for each call.
        pickle.Pickler.__init__(
            self, self._file, pickle.HIGHEST_PROTOCOL, buffer_callback=buffer_callback
        )
        self._roots = {id(root): root for root in roots} if roots else _NOTHING
        self.by_statement = by_statement
        self.is_code = is_code
        self.needs: dict[str, Need] = {}
        self._mains: list[dict[str, Any]] = []  # names of each `__main__` that code refers to
        self.refs: list[Referable] = []
        self.files: list[Sealed] = []
        self.modules: set[str] = set()
        self.compiled = ""
        self._slots: dict[object, int] = {}
        self._enclosed: list[Enclosed] = []
        self._cells: dict[int, types.CellType] = {}
        self._namespaces: dict[int, functions.Namespace] = {}
        self._kinds: dict[type, _Reducer | None] = {}

    def stream(self, value: object) -> bytes:
        """The pickle of ``value``."""
        self.dump(value)
        return self._file.getvalue()

    def reducer_override(self, obj: Any) -> Any:
        """What `pickle` takes for an object; called for all but numbers, texts and the like."""
        kind = type(obj)
        try:
            reduce = self._kinds[kind]
        except KeyError:
            reduce = self._kinds[kind] = _reducer_of(kind)
        if reduce is None:
            return NotImplemented
        if issubclass(kind, _OF_MODULES):
            self._note(obj)
        return reduce(self, obj)

    def _note(self, obj: Any) -> None:
        """Remember the module of a function, a class or a task, and what a function imports."""
        is_module = isinstance(obj, types.ModuleType)
        self.note_module(obj.__name__ if is_module else getattr(obj, "__module__", None))
        if isinstance(obj, types.FunctionType) and not places.is_by_name(obj):
            package = obj.__globals__.get("__package__") or ""
            for name in imported_names(obj.__code__, package):
                if closure.find(name) is not None:
                    self.modules.add(name)

    def note_module(self, name: object) -> None:
        """Remember a module, if it travels as a file."""
        if isinstance(name, str) and name not in self.modules and first_party.travels(name):
            self.modules.add(name)

    # -- what reducers ask -----------------------------------------------------------------------

    def is_root(self, obj: object) -> bool:
        """Whether ``obj`` is what is being defined."""
        return id(obj) in self._roots

    def reduce_special_class(self, cls: type) -> Any:
        """A class that the interpreter made, such as that of functions."""
        return super().reducer_override(cls)

    def reduce_named(self, obj: Any) -> Any:
        """A task: by the name that its module knows it under, else by value."""
        if places.is_by_name(obj):
            return functions.by_name, (obj.__module__, obj.__qualname__)
        if not self.is_root(obj):
            current = main_module.current_names()
            if current is not None and (place := self.place_in_main(obj, current[1])) is not None:
                return place
        # Not its own, which is for plain pickle and would say a name.
        return object.__reduce_ex__(obj, pickle.HIGHEST_PROTOCOL)

    def place_in_main(self, obj: Any, names: dict[str, Any]) -> Any:
        """A reference to a name of ``__main__``, if ``obj`` is what stands there."""
        if self.is_root(obj):
            return None
        name = places.name_in_main(obj, names)
        if name is None or (main_id := main_module.main_id_of(names)) is None:
            return None
        self.need_names(names, (name,))
        return arrivals.value_in_main, (main_id, name)

    def need_names(
        self,
        names: dict[str, Any],
        wanted: Iterable[str],
        *,
        optional: bool = False,
        any_size: bool = False,
    ) -> None:
        """Note that code refers to names of ``__main__``."""
        main_id = main_module.main_id_of(names)
        if not any(names is known for known in self._mains):
            self._mains.append(names)
        for name in wanted:
            if name not in names or name in main_module.OF_EACH_MODULE:
                continue
            key = arrivals.key_of_name(str(main_id), name)
            known = self.needs.get(key)
            if known is None or known.is_optional:
                is_any = any_size or (known is not None and known.any_size)
                self.needs[key] = Need(names, name, optional, is_any)

    def need_classes_of_main(self) -> None:
        """Note what code of ``__main__`` may look for by name: classes of its pickles, its file."""
        for names in self._mains:
            self.need_names(names, (*main_module.classes_in(names), "__file__"), optional=True)

    @property
    def main_id(self) -> str:
        """The program whose ``__main__`` the pickle refers to, ``""`` without one."""
        return str(main_module.main_id_of(self._mains[0])) if self._mains else ""

    def need_class(self, key: str, cls: type) -> None:
        """Note that the pickle refers to a class by value."""
        self.needs[key] = Need(None, cls)

    def has_cell(self, cell: types.CellType) -> bool:
        """Whether the pickle had this variable before; from now on it has."""
        if id(cell) in self._cells:
            return True
        self._cells[id(cell)] = cell
        return False

    def namespace(self, names: dict[str, Any]) -> functions.Namespace:
        """What stands for these names in this pickle."""
        if id(names) not in self._namespaces:
            self._namespaces[id(names)] = functions.Namespace(names)
        return self._namespaces[id(names)]

    def slot_of(self, obj: Referable) -> int:
        """The number of a handle; handles of one result share it."""
        state = obj._state
        key: object = id(state) if not state.output else (id(state.whole), state.output)
        if key not in self._slots:
            self._slots[key] = len(self.refs)
            self.refs.append(obj)
        return self._slots[key]

    def file_slot_of(self, obj: Enclosed) -> int:
        """The number of a file, as it is now; one object is one file."""
        key = id(obj)
        if key not in self._slots:
            self._slots[key] = len(self.files)
            self.files.append(obj._seal())
            self._enclosed.append(obj)  # its address is not given to another object meanwhile
        return self._slots[key]


class Place(NamedTuple):
    """Where a value stands that was put elsewhere.

    Attributes:
        handle: Of the result.
        member: Of the value, in a result that is a list of several; ``None`` for the result itself.
        value: Referred to, so that its address is not given to another object.
    """

    handle: Referable
    member: int | None
    value: object


class SharingPickler(Pickler):
    """Writes handles in place of values that were put elsewhere, wherever they occur.

    The same object then is one object in the task, also where it is reached in two ways.

    Args:
        shared: Places by the address of the value.
        buffer_callback: As in `pickle`.
    """

    def __init__(
        self,
        shared: Mapping[int, Place],
        buffer_callback: Callable[[pickle.PickleBuffer], bool] | None = None,
    ) -> None:
        super().__init__(buffer_callback=buffer_callback)
        self._shared = shared

    def persistent_id(self, obj: object) -> tuple[int, int | None] | None:
        """Slot and index that stand for the object; called for each object, unlike a reducer."""
        place = self._shared.get(id(obj))
        return None if place is None else (self.slot_of(place.handle), place.member)


def _slot(number: int) -> object:
    """Stands in a pickle for the value of a reference; the unpickler puts the value there."""
    raise SerializationError(f"slot {number}: this pickle can only be read by pymonik")


def _itself(value: object) -> object:
    """What stands for a handle whose value came with it."""
    return value


def _file(number: int) -> object:
    """Stands in a pickle for a file; the unpickler puts the file there."""
    raise SerializationError(f"file {number}: this pickle can only be read by pymonik")
