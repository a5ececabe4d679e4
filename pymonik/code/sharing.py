"""Values that several calls have as an argument, packed once, with what they share kept one object.

::

    config ─┐                           ┌─ members: config, parts, what is in them
            ├─ share an object: one Part┤
    parts ──┘                           └─ packed: one value, a list of the members
    weights ── shares nothing: a Part of its own, whose value is the array itself

A call then names the result of the part, and which member it means.
"""

from __future__ import annotations

import enum
import types
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pymonik.code import codec
from pymonik.code.class_making import HEAP_TYPE
from pymonik.code.fingerprint import is_constant
from pymonik.code.pickler import Place
from pymonik.errors import SerializationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pymonik.code.codec import Packed
    from pymonik.code.pickler import Pickler
    from pymonik.code.references import Referable

_SHARED_FROM: Final = 16 * 1024  # bytes from which an argument of several calls is stored once
_MOST_INNER: Final = 1000  # objects in shared values that calls may name too
_MOST_MORE: Final = 4 * 1024  # bytes by which a part may grow so that objects in it can be named
# Bytes of a stream, without arrays, up to which its objects are looked at one by one.
_LONGEST_NAMED: Final = 256 * 1024
_CONTAINERS: Final = (list, dict, set, bytearray)
_CODE: Final = (type, types.FunctionType, types.ModuleType, types.MethodType, enum.Enum)


class Part(NamedTuple):
    """What is stored as one value.

    Attributes:
        packed: The only member itself, or a list of all.
        members: Objects that calls may name.
    """

    packed: Packed
    members: Sequence[object]

    def places(self, handle: Referable) -> Iterator[tuple[int, Place]]:
        """Where each member is to be found, by its address."""
        if len(self.members) == 1:
            yield id(self.members[0]), Place(handle, None, self.members[0])
            return
        for index, member in enumerate(self.members):
            yield id(member), Place(handle, index, member)


def parts_of(values: Sequence[object], *, with_inner: bool) -> list[Part]:
    """The large ones of these values; those that cannot be packed are left to their calls.

    Args:
        values: Each once.
        with_inner: Whether objects in them are members too. Not while an iterator goes on, which
            may change them between two calls.
    """
    found: list[tuple[object, Packed, Pickler]] = []
    for value in values:
        try:
            packed, pickler = codec.pack_keeping(value)
        except SerializationError:
            continue  # raised again for its call, which the message then names
        if packed.nbytes >= _SHARED_FROM and not packed.refs and not packed.files:
            found.append((value, packed, pickler))
    large = [
        _Large(value, packed, _objects(pickler) if len(found) > 1 or _is_short(packed) else {})
        for value, packed, pickler in found
    ]
    return [_part(group, with_inner=with_inner) for group in _groups(large)]


def _objects(pickler: Pickler) -> dict[int, object]:
    memo: dict[int, tuple[int, object]] = pickler.memo.copy()
    return {address: one for address, (_, one) in memo.items()}


def _is_short(packed: Packed) -> bool:
    """Whether the stream may hold few enough objects that calls can name them."""
    return memoryview(packed.blobs[0]).nbytes <= _LONGEST_NAMED


class _Large(NamedTuple):
    """A value with the objects in its pickle, by address."""

    value: object
    packed: Packed
    memo: dict[int, object]


def _has_identity(value: object) -> bool:
    """Whether anybody may notice that it is another object: it can change, or be compared by it."""
    kind = type(value)
    if issubclass(kind, _CONTAINERS):
        return True
    if issubclass(kind, _CODE) or is_constant(value):
        return False
    return bool(kind.__flags__ & HEAP_TYPE) or _is_buffer(value)


def _is_buffer(value: Any) -> bool:
    try:
        return not memoryview(value).readonly
    except (TypeError, ValueError, BufferError):
        return hasattr(type(value), "__array_interface__")  # of times or objects


def _groups(large: list[_Large]) -> list[list[_Large]]:
    """The large arguments in groups: those of a group have an object in common."""
    group_of = list(range(len(large)))
    first: dict[int, int] = {}
    for number, one in enumerate(large):
        for address in one.memo.keys() & first.keys():
            other = group_of[first[address]]
            if other != group_of[number] and _has_identity(one.memo[address]):
                old = group_of[number]
                group_of = [other if group == old else group for group in group_of]
        if number < len(large) - 1:
            first.update(dict.fromkeys(one.memo.keys() - first.keys(), number))
    groups: dict[int, list[_Large]] = {}
    for group, one in zip(group_of, large, strict=True):
        groups.setdefault(group, []).append(one)
    return list(groups.values())


def _part(group: list[_Large], *, with_inner: bool) -> Part:
    tops = [one.value for one in group]
    members = [*tops, *islice(_inner(group), _MOST_INNER)] if with_inner else tops
    if len(tops) < len(members) < _MOST_INNER:
        most = sum(one.packed.nbytes for one in group) + _MOST_MORE
        if (packed := _packed(members, most)) is not None:
            return Part(packed, members)
    if len(tops) == 1:
        return Part(group[0].packed, tops)
    return Part(codec.pack(tops, copy=False), tops)


def _inner(group: list[_Large]) -> Iterator[object]:
    """What is in these values and can be told from an equal object, each once."""
    seen = {id(one.value) for one in group}
    for one in group:
        for address, value in one.memo.items():
            if address not in seen and _has_identity(value):
                seen.add(address)
                yield value


def _packed(members: list[object], most: int) -> Packed | None:
    """All members as one value.

    ``None`` if that is larger than their values are: what ``__getstate__`` makes is in no other
    pickle, so naming it would store it again.
    """
    try:
        packed = codec.pack(members, copy=False)
    except SerializationError:
        return None
    return packed if packed.nbytes <= most else None
