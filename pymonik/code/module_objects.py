"""Objects of the program's modules that the script has too: ``from state import registry``.

The module is imported where the call runs and makes the object there. The script's name then has
to stand for that very object, or what the module's functions do to it is never seen. So such a
name travels as a reference, together with what the program has put into the object.

To pickle the object alone would be simpler, but gives the task a copy beside that of the module. To
refer to it alone would lose what the program did to it before the call.
"""

from __future__ import annotations

import collections
import copyreg
import importlib
import sys
import time
import types
from typing import Any, Final

from pymonik.code import settings
from pymonik.code.references import Named

_PROTOCOL: Final = 5  # of pickle
_GROUPS: Final = (list, dict, set)
_KINDS: Final = (*_GROUPS, collections.deque, collections.defaultdict, collections.OrderedDict)
_NEVER: Final = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, Named)
_LOOK_S: Final = 1.0  # an object that was not found is looked for again after so long

_Place = tuple[str, str]


class ModuleObject:
    """Stands in a pickle for an object that a module has under a name.

    Args:
        place: Name of the module, and of the variable.
        value: The object itself.
        with_content: What it holds travels too.
    """

    def __init__(self, place: _Place, value: Any, *, with_content: bool = True) -> None:
        self.place = place
        self.value = value
        self.with_content = with_content

    def __reduce__(self) -> Any:
        """The module's object, and how it is filled."""
        value, kind = self.value, type(self.value)
        if not self.with_content:
            return find, (*self.place, None)
        if kind in _KINDS:
            # An object that is in its own parts is a copy there: too rare to care.
            state = _content_of(value), self._is_changed(kind)
            return find, (*self.place, kind), state, None, None, fill
        reduced = value.__reduce_ex__(_PROTOCOL)
        if not _is_plain_object(reduced, kind):
            return itself, (value,)  # as it says itself
        return find, (*self.place, kind), (reduced[2], True), None, None, fill

    def _is_changed(self, kind: type) -> bool:
        """Whether the object may hold something else than the file of the module gives it."""
        return kind not in _GROUPS or not settings.baselines.is_literal(*self.place, self.value)

    def alone(self) -> ModuleObject:
        """The same without what the object holds."""
        return ModuleObject(self.place, self.value, with_content=False)


class _Index:
    """Where objects stand, by their addresses.

    A look goes over the variables of all modules of the program. Names of the script are asked for
    each time a function is pickled, so the look is not repeated for each that is not found.
    """

    def __init__(self) -> None:
        self._places: dict[int, _Place] = {}
        self._modules = 0
        self._next_look = 0.0

    def place_of(self, value: object) -> _Place | None:
        now = time.monotonic()
        if len(sys.modules) != self._modules:
            self._look(now)
        place = self._verified(value)
        if place is None and now >= self._next_look:
            self._look(now)
            place = self._verified(value)
        return place

    def _verified(self, value: object) -> _Place | None:
        place = self._places.get(id(value))
        if place is None:
            return None
        # The address may be another object's by now.
        names = getattr(sys.modules.get(place[0]), "__dict__", {})
        return place if names.get(place[1]) is value else None

    def _look(self, now: float) -> None:
        self._modules = len(sys.modules)
        self._next_look = now + _LOOK_S
        self._places = {
            id(value): (module, name)
            for module, names in settings.baselines.modules()
            for name, value in list(names.items())
            if name[:2] != "__" and may_be_one(value)
        }


_index = _Index()


def place_of(value: object) -> _Place | None:
    """Where a module of the program has this very object; ``None`` if none has."""
    return _index.place_of(value) if may_be_one(value) else None


def may_be_one(value: object) -> bool:
    """Whether it matters that an object is the same one: it can change, and can be filled."""
    kind = type(value)
    if kind in _KINDS:
        return True
    if isinstance(value, _NEVER) or kind.__module__ == "builtins":
        return False
    return hasattr(value, "__dict__") and kind.__reduce_ex__ is object.__reduce_ex__


def _content_of(value: Any) -> Any:
    if isinstance(value, collections.defaultdict):
        return value.default_factory, dict(value)
    return dict(value) if isinstance(value, dict) else list(value)


def _is_plain_object(reduced: Any, kind: type) -> bool:
    """Whether an object is made by its class alone, and then gets its state."""
    return (
        isinstance(reduced, tuple)
        and len(reduced) >= 3
        and reduced[:2] == (copyreg.__newobj__, (kind,))  # type: ignore[attr-defined]
        and all(part is None for part in reduced[3:])
    )


# -- unpickling: these stand in pickles by their names -------------------------------------------


def find(module: str, name: str, kind: Any) -> Any:
    """The object that the module has here; without one of this kind, a new one of it."""
    try:
        home = importlib.import_module(module)
    except Exception:
        # The script needs only the object: it gets one of its own where the module has none.
        if kind is None:
            raise
        return kind.__new__(kind)
    if kind is None:
        return getattr(home, name)
    value = getattr(home, name, None)
    if type(value) is not kind:
        value = kind.__new__(kind)
        setattr(home, name, value)  # the program has put it there
    return value


def itself(value: Any) -> Any:
    """What is pickled as anything else is."""
    return value


def fill(value: Any, state: tuple[Any, bool]) -> None:
    """Let an object hold what it holds in the program.

    Args:
        value: The object.
        state: What it holds, and whether the program has changed it: what the module itself has
            put into it here stays otherwise.
    """
    content, is_changed = state
    if isinstance(value, _KINDS):
        if is_changed or not value:
            _fill_group(value, content)
        return
    set_state = getattr(value, "__setstate__", None)
    if set_state is not None:
        set_state(content)
        return
    attributes, slots = content if isinstance(content, tuple) else (content, None)
    vars(value).update(attributes or {})
    for name, part in (slots or {}).items():
        setattr(value, name, part)


def _fill_group(value: Any, content: Any) -> None:
    if isinstance(value, collections.defaultdict):
        value.default_factory, content = content
    value.clear()
    if isinstance(value, list | collections.deque):
        value.extend(content)
    else:
        value.update(content)
