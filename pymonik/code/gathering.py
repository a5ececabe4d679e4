"""All definitions that a pickle needs, those included that the definitions need in turn.

::

    pickle of a value ──needs──► class "c<id>" ──needs──► name "m<program>:<name>" ──needs──► ...

A class, or a function of ``__main__``, is pickled again only when it has changed (see
`pymonik.code.fingerprint`); what another process defined is passed on as it came.
"""

from __future__ import annotations

import enum
import hashlib
import sys
import types
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from pymonik.code import (
    arrivals,
    classes,
    identities,
    main_module,
    places,
    sources,
    statements,
)
from pymonik.code.fingerprint import Fingerprint, is_constant, shape
from pymonik.code.pickler import Need, Pickler
from pymonik.code.references import Named
from pymonik.errors import SerializationError
from pymonik.wire.definitions import Definition

if TYPE_CHECKING:
    from collections.abc import Iterable

_DIGEST_SIZE: Final = 16  # bytes of the digest of a definition
_MOST_MADE: Final = 4096  # definitions that are remembered, to be sent again without pickling
_MOST_PARTS: Final = 100  # of a container whose sizes are added up; the rest is left out
# Bytes of an optional name, one that code may look up by a text: a larger one would go with every
# function, and be missed by nearly none.
_MOST_OPTIONAL: Final = 64 * 1024


class CannotDefineError(Exception):
    """A definition cannot be pickled.

    Attributes:
        label: How a person calls it.
        value: What was to be pickled.
        reason: What pickling it raised.
    """

    def __init__(self, label: str, value: object, reason: BaseException) -> None:
        super().__init__(label, value, reason)
        self.label = label
        self.value = value
        self.reason = reason


class _Made:
    """A definition with what it needs.

    Attributes:
        target: What it defines.
        mark: Tells whether ``target`` is as it was; ``None`` if only pickling tells.
        pickler: What pickled it, whose memo has all objects in it; ``None`` if another process did.
    """

    def __init__(
        self,
        definition: Definition,
        needs: dict[str, Need],
        target: object = None,
        mark: Fingerprint | None = None,
        pickler: Pickler | None = None,
    ) -> None:
        self.definition = definition
        self.needs = needs
        self.target = target
        self.mark = mark
        self.pickler = pickler

    @cached_property
    def changeable(self) -> frozenset[int]:
        """Addresses of objects in it that can change; the pickler keeps the objects alive.

        Of a class, what its statement makes is left out, such as the fields of a dataclass: a class
        has to be there before those that derive from it.
        """
        can_change = _can_change
        if issubclass(type(self.target), type):
            from pymonik.code import module_objects  # executors define little

            can_change = module_objects.may_be_one
        memo: dict[int, tuple[int, object]] = (
            {} if self.pickler is None else self.pickler.memo.copy()
        )
        return frozenset(address for address, (_, value) in memo.items() if can_change(value))

    def is_current(self, target: object) -> bool:
        """Whether it still defines ``target``."""
        return self.target is target and self.mark is not None and self.mark.holds()


_made: dict[str, _Made] = {}


def gather(pickler: Pickler) -> list[Definition]:
    """The definitions that a pickle needs, each once.

    Args:
        pickler: Of the pickle. It is told which modules the definitions refer to that travel as
            files, and of compiled code in them.

    Raises:
        CannotDefineError: One of them cannot be pickled.
    """
    needs = pickler.needs
    if not needs:
        return []
    found: dict[str, _Made] = {}
    wanted = {key: need for key, need in needs.items() if not need.is_optional}
    optional = {key: need for key, need in needs.items() if need.is_optional}
    _collect(wanted, found, optional)
    for key, need in list(optional.items()):
        if key not in found:
            _collect_optional(key, need, found)
    for made in found.values():
        if made.pickler is not None:
            pickler.modules |= made.pickler.modules
            pickler.compiled = pickler.compiled or made.pickler.compiled
    return [made.definition for made in together(found).values()]


def _collect(
    wanted: dict[str, Need], found: dict[str, _Made], optional: dict[str, Need] | None
) -> None:
    """Add what is wanted, and what that needs; what it may need goes to ``optional``."""
    todo = list(wanted.items())
    while todo:
        key, need = todo.pop()
        if key in found:
            continue
        # ``None`` while an optional need is tried: its own optional needs are not followed.
        if optional is None and need.names is not None and not need.any_size:
            _refuse_large(need.names.get(need.target), need.target)
        made = _define(key, need)
        if made is None:
            continue
        found[key] = made
        for other, more in made.needs.items():
            if not more.is_optional:
                todo.append((other, more))
            elif optional is not None:
                optional.setdefault(other, more)


def _refuse_large(value: object, name: str) -> None:
    """Raise for what a program does without, before it is pickled for nothing at each call."""
    if _size(value) > _MOST_OPTIONAL:
        raise CannotDefineError(f"global {name!r}", value, SerializationError("it is large"))


def _size(value: object, depth: int = 3) -> int:
    """Bytes that ``value`` takes at least; of its parts only the first few are looked at."""
    if issubclass(type(value), type | types.FunctionType | types.ModuleType):
        return 0
    size = _own_size(value)
    if depth:
        size += sum(_size(part, depth - 1) for part in islice(_parts(value), _MOST_PARTS))
    return size


def _own_size(value: object) -> int:
    try:
        return max(sys.getsizeof(value), int(getattr(value, "nbytes", 0)))
    except Exception:  # noqa: BLE001 - code of the user's
        return 0


def _parts(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)
    try:
        attributes: dict[str, object] = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return ()
    return list(attributes.values())


def _collect_optional(key: str, need: Need, found: dict[str, _Made]) -> None:
    # A copy: of a name that cannot be pickled nothing must be left among the definitions.
    with_it = dict(found)
    try:
        _collect({key: need}, with_it, None)
    except Exception:  # noqa: BLE001 - code of the user's, such as a lazy object that is not set up
        return  # the program does without it, or says what is missing where it does not
    new = [one for key, one in with_it.items() if key not in found]
    if need.any_size or sum(len(one.definition.stream) for one in new) <= _MOST_OPTIONAL:
        found.update((one.definition.key, one) for one in new)


def _define(key: str, need: Need) -> _Made | None:
    """One definition with what it needs; ``None`` if the name is gone."""
    target: Any = need.target
    if need.names is not None:
        if target not in need.names:
            return None
        target = need.names[target]
    if (arrived := arrivals.definition_here(key)) is not None:
        return _Made(arrived, _needs_of(arrived))
    known = _made.get(key)
    if known is not None and known.is_current(target):
        return known
    mark = shape(target) if issubclass(type(target), _WITH_SHAPE) else None
    label = f"global {need.target!r}" if need.names is not None else f"class {target.__qualname__}"
    pickler, definition = _pickled(key, need, target, label)
    made = _Made(definition, pickler.needs, target, mark, pickler)
    if mark is not None:
        if len(_made) >= _MOST_MADE:
            _made.clear()
        _made[key] = made
    return made


# Of what else there is, pickling it again costs no more than finding out whether it has changed.
_WITH_SHAPE: Final = (type, types.FunctionType, types.ModuleType, Named, list, dict, set, tuple)


def _pickled(key: str, need: Need, target: Any, label: str) -> tuple[Pickler, Definition]:
    is_class = issubclass(type(target), type) and need.names is None
    by_statement = is_class and statements.is_tied(target)
    # A name that stands for a class refers to it: the class is a definition of its own.
    # A function or a task that `__main__` has imported is what its module has, too.
    is_class_name = issubclass(type(target), type) and need.names is not None
    roots = () if is_class_name or places.is_by_name(target) else (target,)
    if need.names is not None and need.target == "__file__" and isinstance(target, str):
        target = sources.MainFile(target)
    pickler = Pickler(roots=roots, is_code=True, by_statement=by_statement)
    written = target if is_class else _as_written(pickler, target)
    try:
        stream = pickler.stream(written)
    except Exception as error:
        if written is not target and not isinstance(written, sources.MainFile):
            # An engine, say, does not pickle; the module makes one wherever it is imported.
            pickler = Pickler(is_code=True)
            written = _as_written(pickler, target, with_content=False)
        elif is_class and not by_statement and statements.statement_of(target) is not None:
            # What the class holds does not pickle; running its statement makes it anew.
            pickler = Pickler(roots=roots, is_code=True, by_statement=True)
        else:
            raise CannotDefineError(label, target, error) from error
        stream = pickler.stream(written)
    if pickler.refs:
        text = "it refers to a handle; pass the handle as an argument"
        raise CannotDefineError(label, target, SerializationError(text))
    if pickler.files:
        text = "it refers to a File; pass the file as an argument"
        raise CannotDefineError(label, target, SerializationError(text))
    first = tuple(map(_key_of, classes.before(target))) if is_class else ()
    return pickler, Definition(key, _digest(stream), stream, tuple(pickler.needs), first)


def _as_written(pickler: Pickler, value: object, *, with_content: bool = True) -> object:
    """A value of ``__main__`` as a pickle has it: one of a module is to be the module's."""
    from pymonik.code import module_objects  # executors define little

    place = None if places.is_by_name(value) else module_objects.place_of(value)
    if place is None:
        return value
    pickler.note_module(place[0])
    return module_objects.ModuleObject(place, value, with_content=with_content)


def _key_of(cls: type) -> str:
    return arrivals.key_of_class(identities.id_of(cls))


def _digest(stream: bytes) -> bytes:
    return hashlib.blake2b(stream, digest_size=_DIGEST_SIZE).digest()


def _needs_of(arrived: Definition) -> dict[str, Need]:
    """What a definition needs that came from elsewhere, as far as it is still here."""
    needs: dict[str, Need] = {}
    for key in arrived.needs:
        main_id = arrivals.main_id_in(key)
        if main_id is not None:
            names = main_module.names_of(main_id)
            # The carrier of names that share objects is a part of each of them.
            is_optional = bool(arrived.stream)
            needs[key] = Need(names, key.partition(":")[2], is_optional=is_optional)
        elif (cls := identities.find(key[1:])) is not None:
            needs[key] = Need(None, cls)
    return needs


# -- names and classes that share objects --------------------------------------------------------


def together(found: dict[str, _Made]) -> dict[str, _Made]:
    """The names and classes, with those in one pickle that share objects which can change.

    Two names of ``__main__`` may stand for the same list, a class may have it as an attribute, or
    two functions may share a variable of the function that made them: so it is in the task too.
    Each keeps the digest that it has alone, so that it counts as changed only if it has changed.
    """
    sharing = [made for made in found.values() if _may_share(made)]
    if len(sharing) < 2:
        return found
    groups = _groups(sharing)
    if not groups:
        return found
    found = dict(found)
    for group in groups:
        found.update((made.definition.key, made) for made in _joined(group))
    return found


def _may_share(made: _Made) -> bool:
    target: Any = made.target
    if made.pickler is None:
        return False
    if issubclass(type(target), type):
        # Not the name of a class, which refers to it; nor one that its statement makes.
        is_defined = made.pickler.is_root(target) and not made.pickler.by_statement
        return is_defined and not issubclass(target, enum.Enum)
    if issubclass(type(target), _NEVER_SHARED):
        return False
    if type(target) is types.FunctionType:
        parts = (target.__closure__, target.__defaults__, target.__kwdefaults__, vars(target))
        return any(parts)
    return True


def _groups(sharing: list[_Made]) -> list[list[_Made]]:
    """The names and classes in groups: those of a group share an object."""
    owner: dict[int, int] = {}  # address of an object -> number of the first that has it
    group_of = list(range(len(sharing)))
    for number, made in enumerate(sharing):
        for address in made.changeable:
            old, new = group_of[number], group_of[owner.setdefault(address, number)]
            if old != new:
                group_of = [new if one == old else one for one in group_of]
    groups: dict[int, list[_Made]] = {}
    for group, made in zip(group_of, sharing, strict=True):
        groups.setdefault(group, []).append(made)
    return [group for group in groups.values() if len(group) > 1]


def _can_change(value: object) -> bool:
    if type(value) is types.FunctionType:
        return not places.is_by_name(value)
    return not issubclass(type(value), _NEVER_SHARED) and not is_constant(value)


_NEVER_SHARED: Final = (type, types.ModuleType, types.CodeType, types.BuiltinFunctionType, tuple)


def _joined(group: list[_Made]) -> list[_Made]:
    """One definition with all values; the others refer to it."""
    # Classes come first: what the names stand for may be made of them.
    group = sorted(group, key=lambda made: not issubclass(type(made.target), type))
    values = {made.definition.key: made.target for made in group}
    carrier = group[0].definition
    roots = [value for value in values.values() if not places.is_by_name(value)]
    pickler = Pickler(roots=roots, is_code=True)
    written = {key: _as_written(pickler, value) for key, value in values.items()}
    stream = pickler.stream(arrivals.Together(written))
    needs = tuple(dict.fromkeys(key for made in group for key in made.definition.needs))
    others_first = dict.fromkeys(key for made in group for key in made.definition.first)
    before = tuple(key for key in others_first if key not in values)
    first = _Made(Definition(carrier.key, carrier.digest, stream, needs, before), pickler.needs)
    others = [
        _Made(Definition(made.definition.key, made.definition.digest, b"", (carrier.key,)), {})
        for made in group[1:]
    ]
    return [first, *others]
