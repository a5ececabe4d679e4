"""Variables that the program sets in its own modules: ``config.SEED = args.seed``.

A worker imports the module from its file, which says nothing of that. So what differs from the file
travels with each call, if it is plain data, and is set once the modules are imported.

Two ways to find what differs were compared. A fresh import in an executor tells what the file gives
there, but not whether a difference was made by the program or by the machine: a process id, a path,
the time. Here the literals of the file are compared instead; a variable that the file computes is
compared with the value that it had when it was first seen: at the first ``@task`` after its import.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import logging
import operator
import pickle
import sys
import types
from typing import TYPE_CHECKING, Any, Final

from pymonik.code import first_party
from pymonik.code.closure import code_of, imports_of
from pymonik.code.first_party import Kind
from pymonik.code.imports import code_of_file, imported_names

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pymonik.code.literals import Literals

_log = logging.getLogger(__name__)

# Types of plain data: only such values travel as settings.
_ATOMS: Final = (int, float, complex, bool, str, bytes, type(None))
_GROUPS: Final = (tuple, list, set, frozenset)
_CHANGEABLE: Final = (list, dict, set)
_MOST_PARTS: Final = 1000  # of one list or dict that travels
_MOST_TEXT: Final = 1 << 16  # characters of one text that travels
_CODE: Final = (types.FunctionType, types.BuiltinFunctionType, types.ModuleType, type)
_ABSENT: Final = object()

_Values = dict[str, dict[str, Any]]  # by module and name


class _Baseline:
    """What the variables of a module are as long as the program sets none.

    Args:
        module: Imported, and not changed since.
    """

    def __init__(self, module: types.ModuleType, literals: Literals) -> None:
        self.spec = module.__spec__
        self.literals = literals
        # Not copies: whoever changes one of these in place changes it for all who have it.
        self._groups = {
            name: value for name, value in vars(module).items() if type(value) in _CHANGEABLE
        }
        self._seen = {
            name: copy.deepcopy(value) if is_plain(value) else value
            for name, value in vars(module).items()
            if name not in literals.given
        }

    def is_set(self, name: str, value: object) -> bool:
        """Whether the program must have set a variable, since the file does not give this value."""
        given = self.literals.given.get(name)
        if given is not None:
            return not any(_is_same(value, one) for one in given)
        before = self._seen.get(name, _ABSENT)
        return before is not value and not _is_same(value, before)

    def is_in_place(self, name: str, value: object) -> bool:
        """Whether a list, dict or set is the object that it was."""
        return self._groups.get(name, _ABSENT) is value

    def had(self, name: str) -> bool:
        """Whether there was such a variable; not so for those of a module that was still loading.

        Who loads a module by hand, as pytest does, does not tell that it is incomplete.
        """
        return name in self._seen or name in self.literals.given

    def is_own(self, name: str) -> bool:
        """Whether the module itself changes the variable when its functions are called."""
        return name in self.literals.own

    def may_change(self, variables: dict[str, Any], attributes: set[str]) -> bool:
        """Whether code that assigns these attributes, or the module's own, may set a variable.

        Lists and dicts change in place, which no instruction tells.
        """
        literals = self.literals
        return (
            literals.by_text
            or bool(literals.own)
            or not attributes.isdisjoint(variables)
            or any(type(one) in _CHANGEABLE and is_plain(one) for one in variables.values())
        )


class Baselines:
    """What is known of the modules of this process. The program's modules only."""

    def __init__(self) -> None:
        self._known: dict[str, _Baseline] = {}
        self._seen: set[str] = set()
        self.is_watching = True  # an executor does not: there, what is set came from a program

    def look(self) -> None:
        """Note what the modules are that were imported since the last look."""
        if not self.is_watching:
            return
        new = sys.modules.keys() - self._seen
        for name in new:
            module = sys.modules.get(name)
            if getattr(getattr(module, "__spec__", None), "_initializing", False):
                continue  # the module is still being imported
            if module is not None and first_party.is_first_party(name):
                self._add(name, module)
            self._seen.add(name)  # last: an interrupt may end this look anywhere

    def of(self, name: str, module: types.ModuleType) -> _Baseline | None:
        """The baseline of a module; a new one after the module was reloaded."""
        known = self._known.get(name)
        if known is None or known.spec is not module.__spec__:
            self._add(name, module)
        return self._known.get(name)

    def modules(self) -> list[tuple[str, dict[str, Any]]]:
        """Modules that are known, with their variables."""
        self.look()
        found = ((name, sys.modules.get(name)) for name in list(self._known))
        return [(name, vars(module)) for name, module in found if module is not None]

    def is_literal(self, module: str, name: str, value: object) -> bool:
        """Whether a variable is what the file of its module says literally."""
        baseline = self._known.get(module)
        given = baseline.literals.given.get(name, ()) if baseline is not None else ()
        return any(_is_same(value, one) for one in given)

    def is_in_place(self, module: str, name: str, value: object) -> bool:
        """Whether a list, dict or set of a module is the object that it was at first."""
        baseline = self._known.get(module)
        return baseline is not None and baseline.is_in_place(name, value)

    def that_may_change(self, names: Iterable[str]) -> frozenset[str]:
        """The modules among these whose variables the program's own code may set."""
        known = list(self._known.items())
        attributes = {one for _, baseline in known for one in baseline.literals.attributes}
        found = {name for name, baseline in known if baseline.literals.by_text}
        if (script := _script()) is not None:
            from pymonik.code.literals import literals_of  # executors look for no settings

            literals = literals_of(script)
            attributes |= literals.attributes
            found.update(imported_names(script, "") if literals.by_text else ())
        # Modules whose code assigns by texts may set any variable of what they import.
        sources = [first_party.source_of(sys.modules.get(name), name) for name in found]
        found.update(*(imports_of(source) for source in sources if source is not None))
        for name, baseline in known:
            module = sys.modules.get(name)
            if module is not None and baseline.may_change(vars(module), attributes):
                found.add(name)
        return frozenset(found.intersection(names))

    def _add(self, name: str, module: types.ModuleType) -> None:
        source = first_party.source_of(module, name)
        code = code_of(source) if source is not None else None
        if code is not None:
            from pymonik.code.literals import literals_of  # executors look for no settings

            self._known[name] = _Baseline(module, literals_of(code))


def _script() -> types.CodeType | None:
    """The code of the program's own file; ``None`` for a notebook."""
    file = getattr(sys.modules["__main__"], "__file__", None)
    return code_of_file("__main__", file) if isinstance(file, str) else None


baselines = Baselines()


class _Looked:
    """The variables of a module when they were looked at: comparing with them costs little."""

    def __init__(self, variables: dict[str, Any]) -> None:
        self._values = list(variables.values())
        self._groups = [
            (name, copy.deepcopy(value))
            for name, value in variables.items()
            if type(value) in _CHANGEABLE and name[:2] != "__" and is_plain(value)
        ]

    def is_same(self, variables: dict[str, Any]) -> bool:
        """Whether none was set since, and no list or dict has changed in place."""
        # Called for each module at each call: nothing here may cost a microsecond that need not.
        if len(variables) != len(self._values):
            return False
        if not all(map(operator.is_, variables.values(), self._values)):
            return False
        return not self._groups or all(variables[name] == value for name, value in self._groups)


class Settings:
    """The variables that the program has set, as one session sends them."""

    def __init__(self) -> None:
        self._sent: dict[tuple[str, str], Any] = {}  # copies; once set, a variable is always sent
        self._told: set[tuple[str, str]] = set()
        self._looked: dict[str, _Looked] = {}
        self._has_changed = False  # since `_data` was packed
        self._data = b""

    def current(self, names: Iterable[str]) -> bytes:
        """The settings in these modules, as they are now."""
        for name in names:
            module = sys.modules.get(name)
            if module is None or getattr(module, "__spec__", None) is None:
                continue
            looked = self._looked.get(name)
            if looked is not None and looked.is_same(vars(module)):
                continue
            # In this order: what an interrupt leaves undone is looked at, or packed, again.
            looked = _Looked(vars(module))
            self._look(name, module)
            self._looked[name] = looked
        if self._has_changed:
            self._data = self._packed()
            self._has_changed = False
        return self._data

    def _look(self, name: str, module: types.ModuleType) -> None:
        baseline = baselines.of(name, module)
        if baseline is None:
            return
        for variable, value in list(vars(module).items()):
            if variable.startswith("__") or issubclass(type(value), _CODE):
                continue
            key = name, variable
            if key in self._sent:
                if not _is_same(value, self._sent[key]) and is_plain(value):
                    self._send(key, value)
            elif baseline.is_set(variable, value):
                if is_plain(value):
                    self._send(key, value)
                elif baseline.had(variable) and not baseline.is_own(variable):
                    self._tell(name, variable, value)

    def _send(self, key: tuple[str, str], value: object) -> None:
        self._has_changed = True
        self._sent[key] = copy.deepcopy(value)

    def _tell(self, name: str, variable: str, value: object) -> None:
        if (name, variable) in self._told:
            return
        self._told.add((name, variable))
        _log.warning(
            "%s.%s was set to a %s, which does not travel: tasks have what the file gives; pass it "
            "to the task as an argument",
            name,
            variable,
            type(value).__name__,
        )

    def _packed(self) -> bytes:
        values: _Values = {}
        in_place = []  # of these, whoever took the object from the module has the same one
        for (name, variable), value in self._sent.items():
            values.setdefault(name, {})[variable] = value
            now = getattr(sys.modules.get(name), variable, None)
            if baselines.is_in_place(name, variable, now):
                in_place.append((name, variable))
        return pickle.dumps((_imported_before(values), values, in_place), protocol=5)


def _imported_before(values: _Values) -> list[str]:
    """The program's modules that import one with settings, in the order of their import.

    They took what they needed from it before the program set anything: so they do at the worker.
    """
    found = []
    for name in list(sys.modules):
        source = first_party.source_of(sys.modules.get(name), name)
        if source is None or source.kind is not Kind.FIRST_PARTY:
            continue
        if name in values or not imports_of(source).isdisjoint(values):
            found.append(name)
    return found


class AppliedSettings:
    """Settings in an executor: set again only when the program has changed them."""

    def __init__(self) -> None:
        self._last = b""
        self._applied: dict[tuple[str, str], bytes] = {}
        # The values before, and whether they are put back into the objects that are there.
        self._originals: dict[tuple[str, str], tuple[Any, bool]] = {}

    def apply(self, data: bytes) -> None:
        """Set the variables as the program had them; those of another program get theirs back."""
        if data == self._last:
            return
        self._last = data
        names: list[str] = []
        values: _Values = {}
        in_place: list[tuple[str, str]] = []
        if data:
            names, values, in_place = pickle.loads(data)
        for name in names:
            with contextlib.suppress(Exception):  # a call that needs it fails itself
                importlib.import_module(name)
        wanted = {(n, v): value for n, group in values.items() for v, value in group.items()}
        for key in [key for key in self._applied if key not in wanted]:
            self._restore(key)
        for key, value in wanted.items():
            self._set(key, value, in_place=key in in_place)

    def _set(self, key: tuple[str, str], value: Any, *, in_place: bool) -> None:
        name, variable = key
        packed = pickle.dumps(value, protocol=5)
        module = sys.modules.get(name)
        if module is None or self._applied.get(key) == packed:
            return
        here = getattr(module, variable, _ABSENT)
        in_place = in_place and type(here) is type(value)
        self._originals.setdefault(key, (copy.copy(here) if in_place else here, in_place))
        self._applied[key] = packed
        _put(module, variable, value, in_place=in_place)

    def _restore(self, key: tuple[str, str]) -> None:
        name, variable = key
        del self._applied[key]
        original, in_place = self._originals.pop(key)
        module = sys.modules.get(name)
        if module is not None and original is not _ABSENT:
            _put(module, variable, original, in_place=in_place)
        elif module is not None:
            delattr(module, variable)


def _put(module: types.ModuleType, variable: str, value: Any, *, in_place: bool) -> None:
    """Set a variable, or fill the list, dict or set that it has."""
    if not in_place:
        setattr(module, variable, value)
        return
    here = getattr(module, variable)
    if here is value:
        return
    here.clear()
    if isinstance(here, list):
        here.extend(value)
    else:
        here.update(value)


def values_in(data: bytes) -> _Values:
    """The values in settings of this process, by module and variable.

    Args:
        data: What `Settings.current` gave.
    """
    return pickle.loads(data)[1] if data else {}


applied = AppliedSettings()  # of this process, which is an executor


def is_plain(value: object) -> bool:
    """Whether a value is made of numbers, texts and small groups of them."""
    return _parts(value, _MOST_PARTS, 8) is not None


def _parts(value: Any, most: int, depth: int) -> int | None:
    """How many parts a plain value has; ``None`` if it is not plain, or too large.

    Only its type is asked: `isinstance` asks a lazy object, such as Django's settings, for its
    ``__class__``, which sets it up, or raises.
    """
    kind = type(value)
    if kind in _ATOMS:
        is_long = isinstance(value, str | bytes) and len(value) > _MOST_TEXT
        return None if is_long else 1
    if not depth:
        return None
    if kind is dict:
        children: list[Any] = [*value.keys(), *value.values()]
    elif kind in _GROUPS:
        children = list(value)
    else:
        return None
    count = 1
    for child in children:
        parts = _parts(child, most - count, depth - 1)
        if parts is None or count + parts > most:
            return None
        count += parts
    return count


def _is_same(value: object, other: object) -> bool:
    """Whether two values are equal and of the same types."""
    if value is other:
        return True
    if type(value) is not type(other):
        return False
    try:
        return bool(value == other)
    except Exception:  # noqa: BLE001 - an __eq__ of the user's, or of an array
        return False
