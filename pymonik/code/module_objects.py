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

from pymonik.code import posing, settings
from pymonik.code.class_making import HEAP_TYPE
from pymonik.code.references import Named

_PROTOCOL: Final = 5  # of pickle
_GROUPS: Final = (list, dict, set)
_KINDS: Final = (
    *(*_GROUPS, collections.deque, collections.defaultdict),
    *(collections.OrderedDict, collections.Counter),
)
_NEVER: Final = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, Named)
_LOOK_S: Final = 1.0  # seconds after which objects that were not found are looked for again

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
            # The content travels as a list or dict of its own, so an object that contains itself
            # arrives with a copy in it: too rare to care.
            state = _content_of(value), self._is_changed(kind)
            return find, (*self.place, kind), state, None, None, fill
        parts = _parts_of(value, kind)
        if parts is None:
            return itself, (value,)  # as it says itself
        return find, (*self.place, kind), (parts, True), None, None, fill

    def _is_changed(self, kind: type) -> bool:
        """Whether the object may hold something else than the file of the module gives it."""
        return kind not in _GROUPS or not settings.baselines.is_literal(*self.place, self.value)

    def alone(self) -> ModuleObject:
        """The reference without what the object holds: its place is enough."""
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
    if issubclass(kind, _NEVER) or kind.__module__ == "builtins":
        return False
    # Only the class is asked: a proxy, such as that of Flask's request, answers for another object,
    # or raises where there is none.
    return (
        bool(kind.__dictoffset__ or kind.__flags__ & HEAP_TYPE)
        and kind.__reduce_ex__ is object.__reduce_ex__
        and not posing.may_pose(kind)
    )


def _content_of(value: Any) -> Any:
    if isinstance(value, collections.defaultdict):
        return value.default_factory, dict(value)
    return dict(value) if isinstance(value, dict) else list(value)


_Parts = tuple[Any, "list[Any] | None", "list[Any] | None"]  # state, items, pairs


def _parts_of(value: Any, kind: type) -> _Parts | None:
    """What an object holds that is made by its class alone; ``None`` for any other."""
    if kind is types.SimpleNamespace:
        return vars(value), None, None
    reduced = value.__reduce_ex__(_PROTOCOL)
    made_alone = (copyreg.__newobj__, (kind,))  # type: ignore[attr-defined]
    if not isinstance(reduced, tuple) or reduced[:2] != made_alone or len(reduced) > 5:
        return None
    state, items, pairs = (*reduced[2:], None, None, None)[:3]
    return state, None if items is None else list(items), None if pairs is None else list(pairs)


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
    if type(value) in _KINDS:
        if is_changed or not value:
            _fill_group(value, content)
        return
    attributes, items, pairs = content
    if items is not None:
        value.clear()
        value.extend(items)
    if pairs is not None:
        value.clear()
        for key, part in pairs:
            value[key] = part
    _set_state(value, attributes)


def _set_state(value: Any, state: Any) -> None:
    """Do what `pickle` does with the state of an object."""
    if state is None:
        return
    set_state = getattr(value, "__setstate__", None)
    if set_state is not None:
        set_state(state)
        return
    attributes, slots = state if isinstance(state, tuple) else (state, None)
    if attributes:
        vars(value).update(attributes)
    for name, part in (slots or {}).items():
        object.__setattr__(value, name, part)


def _fill_group(value: Any, content: Any) -> None:
    if isinstance(value, collections.defaultdict):
        value.default_factory, content = content
    value.clear()
    if isinstance(value, list | collections.deque):
        value.extend(content)
    else:
        value.update(content)
