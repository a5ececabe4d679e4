"""Definitions that arrive: what pickles refer to is made, or made anew if its content changed.

A class of another process is made once for its id, and its state is set again only when the
content differs from what was set last. A name of a program's ``__main__`` likewise: what a task
keeps in a global, or on a class, stays until the program itself changes it.
"""

from __future__ import annotations

import os
import pickle
import threading
from typing import TYPE_CHECKING, Any, Final

from pymonik.code import identities, main_module
from pymonik.errors import SerializationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pymonik.wire.definitions import Definition

# First letter of a key: of a class by its id, or of a name of a program's `__main__`.
_CLASS: Final = "c"
_NAME: Final = "m"
_pending: dict[str, Definition] = {}  # definitions that have arrived and are not loaded yet, by key
# Reentrant: to load a definition imports modules and runs code of the user, which may unpickle in
# turn.
_lock = threading.RLock()


def _after_fork() -> None:
    # In the child: a thread that does not exist here may have held the lock.
    global _lock
    _lock = threading.RLock()
    _pending.clear()


os.register_at_fork(after_in_child=_after_fork)


_changes = 0  # how often something was made or set


def changes() -> int:
    """A number that grows whenever something arrives: as long as it stays, all is as it was."""
    return _changes


def key_of_class(uid: str) -> str:
    """The key of a class by value."""
    return _CLASS + uid


def key_of_name(main_id: str, name: str) -> str:
    """The key of a name of the ``__main__`` of a program."""
    return f"{_NAME}{main_id}:{name}"


def main_id_in(key: str) -> str | None:
    """The program to which a key belongs; ``None`` for a class."""
    return key[1:].partition(":")[0] if key[0] == _NAME else None


def accept(definitions: Sequence[Definition]) -> None:
    """Make what these define, where it is not here or has changed.

    Raises:
        Exception: What a module raises that one of them imports.
    """
    if not definitions:
        return
    if main_module.Turns.taken:
        for main_id in main_ids(definitions)[:1]:
            main_module.put_in_place(main_id)
    else:
        _recognise(definitions)
    new = [one for one in definitions if not _is_here(one)]
    if not new:
        return
    if carriers := _carriers_of(new, definitions):
        # Definitions that share objects are set together, also where only a part of them has
        # changed.
        new += [
            one
            for one in definitions
            if one.key in carriers or (not one.stream and one.needs[0] in carriers)
        ]
    with _lock:
        _pending.update((one.key, one) for one in new)
        try:
            for one in new:
                _load(one.key)
        finally:
            for one in new:
                _pending.pop(one.key, None)


def _carriers_of(new: list[Definition], definitions: Sequence[Definition]) -> set[str]:
    """Keys of the pickles with several values of which one at least is new."""
    changed = {one.key for one in new}
    return {
        one.needs[0]
        for one in definitions
        if not one.stream and (one.key in changed or one.needs[0] in changed)
    }


def _recognise(definitions: Sequence[Definition]) -> None:
    """Take classes of an earlier run of this program for those that it has now, by their names."""
    for one in definitions:
        main_id, _, name = one.key[1:].partition(":")
        needs = [key for key in one.needs if key != one.key]
        if one.key[0] != _NAME or main_module.is_own(main_id) or len(needs) != 1:
            continue
        names = main_module.own_names()
        if needs[0][0] == _CLASS and name in main_module.classes_in(names):
            identities.adopt(needs[0][1:], names[name])


def _is_here(one: Definition) -> bool:
    if one.key[0] == _CLASS:
        uid = one.key[1:]
        if identities.find(uid) is None:
            return False
        arrived = identities.arrival(uid)
        return arrived is None or arrived.digest == one.digest
    main_id, _, name = one.key[1:].partition(":")
    if main_module.is_own(main_id):
        return True
    known = main_module.definitions_of(main_id).get(name)
    return known is not None and known[0].digest == one.digest


class Together(dict[str, Any]):
    """Values by the keys of their definitions, in one pickle because they share objects."""


def _load(key: str) -> None:
    for other in _pending[key].first if key in _pending else ():
        _load(other)
    one = _pending.get(key)
    if one is None:
        return  # something that was loaded before referred to it
    if not one.stream:
        _load(one.needs[0])  # sets this one too, as long as it is pending
        return
    # Before it is loaded: a class that refers to itself asks for its own key again.
    del _pending[key]
    global _changes
    _changes += 1
    # Whatever the pickle refers to is loaded on the way, by `class_of` and `value_in_main`.
    value = pickle.loads(one.stream)
    if type(value) is not Together:  # a lazy object may raise when it is asked for its class
        _set(key, one, value)
        return
    for other, shared in value.items():
        if other == key or other in _pending:
            _set(other, _pending.pop(other, one), shared)


def _set(key: str, one: Definition, value: object) -> None:
    if key[0] == _CLASS:
        identities.note_arrival(key[1:], one)
        return
    main_id, _, name = key[1:].partition(":")
    main_module.names_of(main_id)[name] = value
    main_module.definitions_of(main_id)[name] = one, value


def definition_here(key: str) -> Definition | None:
    """What arrived under a key and is still there, to be passed on as it came."""
    if key[0] == _CLASS:
        return identities.arrival(key[1:])
    main_id, _, name = key[1:].partition(":")
    if main_module.is_own(main_id):
        return None
    definition, value = main_module.definitions_of(main_id).get(name, (None, None))
    # A task may have put something else under the name: then what arrived is not what is there.
    return definition if main_module.names_of(main_id).get(name) is value else None


def main_ids(definitions: Iterable[Definition]) -> list[str]:
    """The programs whose ``__main__`` these are of."""
    found = (main_id_in(one.key) for one in definitions)
    return list(dict.fromkeys(one for one in found if one is not None))


# -- these stand in pickles by their names -------------------------------------------------------


def class_of(uid: str) -> Any:
    """The class of this id; made now, if it has just arrived."""
    key = key_of_class(uid)
    if key in _pending and identities.find(uid) is None:
        _load(key)
    cls = identities.find(uid)
    if cls is None:
        raise SerializationError("a class is missing that the pickle refers to")
    return cls


def value_in_main(main_id: str, name: str) -> Any:
    """What stands under a name of a program's ``__main__``; made now, if it has just arrived."""
    _load(key_of_name(main_id, name))
    names = main_module.names_of(main_id)
    if name not in names:
        raise SerializationError(f"the program's {name!r} is missing that the pickle refers to")
    return names[name]
