"""From an exception to a `Failure`: what is known of it, in a form that travels.

Nothing here may raise: the exception, its class and everything on it are the user's. Where Python
would run code of the class to answer, the answer is taken from `BaseException` itself instead.
"""

from __future__ import annotations

import copyreg
import sys
import types
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pymonik.code.short_reprs import ShortReprs, cut, readable
from pymonik.code.stack import frames_of
from pymonik.errors import PymonikError
from pymonik.wire.failure import NONE, Failure, Piece, Raised

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from pymonik.code.codec import Packed

# Bounds of a failure, which stands in `Output.error` of a task, or among the values of a chunk.
_MOST_EXCEPTIONS: Final = 64  # of a chain; those further down are left out
_MOST_BYTES: Final = 64 * 1024  # of one argument or attribute, and of the text
_MOST_PIECES: Final = 100  # arguments of an exception, or attributes
_KNOWN_KINDS: Final = 256  # classes whose pickles are kept

# Getters of `BaseException` and `type` themselves, see the top of this module.
_args = BaseException.__dict__["args"].__get__
_attributes = BaseException.__dict__["__dict__"].__get__
_cause = BaseException.__dict__["__cause__"].__get__
_context = BaseException.__dict__["__context__"].__get__
_suppress_context = BaseException.__dict__["__suppress_context__"].__get__
_traceback = BaseException.__dict__["__traceback__"].__get__
_bases = type.__dict__["__mro__"].__get__
_plain_name = type.__dict__["__name__"].__get__

_Group: Any = getattr(sys.modules["builtins"], "BaseExceptionGroup", None)  # not on Python 3.10
_NO_SLOTS = frozenset({"__dict__", "__weakref__", "obj"})  # `obj` can be anything, however large
_FIELDS = (types.MemberDescriptorType, types.GetSetDescriptorType)


def describe(error: BaseException, *, with_locals: bool = True) -> Failure:
    """What to send of ``error``.

    Args:
        error: Any exception, however odd.
        with_locals: Whether the reprs of local variables are part of it.
    """
    try:
        return _Description(with_locals=with_locals).failure(error)
    except BaseException:  # noqa: BLE001 - see the top of this module
        return Failure((Raised("", _name(type(error)), _bare_text(error)),))


def _bare_text(error: BaseException) -> str:
    """The text of an error of ours, whose class runs no code of the user's and needs no files."""
    return str(error) if isinstance(error, PymonikError) else "(nothing else can be said of it)"


class _Kind(NamedTuple):
    """What is known of a class of exceptions.

    Attributes:
        kind: Itself; held, so that its id is not given to another.
        blobs: Its pickle; none for one of Python's own, or where it cannot be pickled.
        slots: Names of fields outside ``__dict__``, and whether they are of Python's own class.
        pickles_itself: Whether the class says how it is pickled.
    """

    kind: type
    module: str
    name: str
    blobs: tuple[bytes, ...]
    slots: dict[str, bool]
    pickles_itself: bool


_kinds: dict[int, _Kind] = {}


class _Description:
    def __init__(self, *, with_locals: bool) -> None:
        self._with_locals = with_locals
        self._reprs = ShortReprs()
        self._errors: list[BaseException] = []
        # By address, which `_errors` keeps from being used again.
        self._numbers: dict[int, int] = {}

    def failure(self, error: BaseException) -> Failure:
        self._number(error)
        raised: list[Raised] = []
        while len(raised) < len(self._errors):  # describing one may find others
            raised.append(self._raised(self._errors[len(raised)]))
        return Failure(tuple(raised))

    def _number(self, error: BaseException | None) -> int:
        """The number of an exception, which is described in its turn."""
        if error is None:
            return NONE
        number = self._numbers.get(id(error))
        if number is None:
            if len(self._errors) >= _MOST_EXCEPTIONS:
                return NONE
            number = self._numbers[id(error)] = len(self._errors)
            self._errors.append(error)
        return number

    def _raised(self, error: BaseException) -> Raised:
        kind = _kind_of(type(error))
        text = cut(self._reprs.text_of(error), _MOST_BYTES)
        whole = _whole(error, kind, text) if kind.pickles_itself else ()
        reprs = self._reprs if self._with_locals and error is self._errors[0] else None
        frames, left_out = frames_of(_traceback(error), reprs)
        attributes = dict(_attributes(error))
        notes = attributes.pop("__notes__", ())
        return Raised(
            kind.module,
            kind.name,
            text,
            kind.blobs,
            whole,
            self._pieces(("", value) for value in self._arguments(error)),
            self._pieces(attributes.items()),
            self._pieces(_slots(error, kind)),
            self._notes(notes),
            frames,
            left_out,
            self._number(_cause(error)),
            self._number(_context(error)),
            bool(_suppress_context(error)),
            self._members(error),
        )

    def _arguments(self, error: BaseException) -> tuple[object, ...]:
        args: tuple[object, ...] = _args(error)
        # The members of a group travel by number.
        return args[:1] if _Group is not None and issubclass(type(error), _Group) else args

    def _members(self, error: BaseException) -> tuple[int, ...]:
        if _Group is None or not issubclass(type(error), _Group):
            return ()
        members = _Group.exceptions.__get__(error)
        numbers = (self._number(member) for member in members)
        return tuple(number for number in numbers if number != NONE)

    def _notes(self, notes: object) -> tuple[str, ...]:
        if not isinstance(notes, list | tuple):
            return ()
        texts = (note if type(note) is str else self._reprs.of(note) for note in notes)
        return tuple(cut(readable(text), _MOST_BYTES) for text in islice(texts, _MOST_PIECES))

    def _pieces(self, named: Any) -> tuple[Piece, ...]:
        return tuple(
            self._piece(readable(name), value)
            for name, value in islice(named, _MOST_PIECES)
            if type(name) is str
        )

    def _piece(self, name: str, value: object) -> Piece:
        kind = type(value)
        if kind in (str, bytes) and len(value) > _MOST_BYTES:  # type: ignore[arg-type]
            value = _shortened(value)
        elif issubclass(kind, BaseException):
            number = self._number(value)  # type: ignore[arg-type]
            return Piece(name, shown="" if number != NONE else self._reprs.of(value), raised=number)
        packed = _packed(value)
        fits = packed is not None and packed.nbytes <= _MOST_BYTES and not packed.refs
        blobs = tuple(bytes(blob) for blob in packed.blobs) if packed is not None and fits else ()
        is_plain = kind in _codec().PLAIN and fits
        return Piece(name, blobs, "" if is_plain else self._reprs.of(value))


def load() -> None:
    """Load all that describes a failure: later there may be no descriptor to open a file with.

    Executors have it before they run calls. Their parent describes errors of ours only, of which
    the text is told in any case; that of a program loads it with the first of them.
    """
    _codec()


def _codec() -> ModuleType:
    """What pickles, a third of this package."""
    from pymonik.code import codec

    return codec


def _packed(value: object) -> Packed | None:
    packed: Packed | None = _codec().pack_if_possible(value)
    return packed


def _shortened(value: Any) -> str | bytes:
    """The start of a huge text: of its own type, so that the text of the exception stays one."""
    end = f"... (cut, {len(value)} in all)"
    return value[: _MOST_BYTES // 2] + (end if isinstance(value, str) else end.encode())  # type: ignore[no-any-return]


def _slots(error: BaseException, kind: _Kind) -> Iterator[tuple[str, object]]:
    for name, is_of_python in kind.slots.items():
        try:
            value = object.__getattribute__(error, name)
        except Exception:  # noqa: BLE001 - it was never set
            continue
        if value is not None or not is_of_python:  # else it was not set either
            yield name, value


# -- pickles of its own --------------------------------------------------------------------------


def _whole(error: BaseException, kind: _Kind, text: str) -> tuple[bytes, ...]:
    """The pickle that the class makes of an exception, if it can be read and says the same.

    Its ``args`` may differ: those of some classes in C hold what they were made from.
    """
    packed = _packed(error)
    if packed is None or packed.refs or packed.nbytes > _MOST_BYTES:
        return ()
    blobs = tuple(bytes(blob) for blob in packed.blobs)
    try:
        copy = _codec().unpack(blobs)
        if isinstance(copy, BaseException) and type(copy) is kind.kind:
            return blobs if ShortReprs().text_of(copy) == text else ()
    except BaseException:  # noqa: BLE001 - code of the user's
        return ()
    return ()


# -- classes -------------------------------------------------------------------------------------


def _kind_of(kind: type) -> _Kind:
    known = _kinds.get(id(kind))
    if known is None:
        if len(_kinds) >= _KNOWN_KINDS:
            _kinds.clear()
        known = _kinds[id(kind)] = _described(kind)
    return known


def _described(kind: type) -> _Kind:
    module = _text(kind, "__module__")
    name = _text(kind, "__qualname__") or _name(kind)
    is_own = module == "builtins" and getattr(sys.modules["builtins"], name, None) is kind
    packed = None if is_own else _packed(kind)
    blobs = () if packed is None or packed.refs else tuple(bytes(blob) for blob in packed.blobs)
    return _Kind(kind, module, name, blobs, _slot_names(kind), _pickles_itself(kind))


def _slot_names(kind: type) -> dict[str, bool]:
    names: dict[str, bool] = {}
    for base in _bases(kind):
        if base is BaseException or base is object or base is _Group:
            continue
        is_of_python = _text(base, "__module__") == "builtins"
        fields = _FIELDS if is_of_python else _FIELDS[:1]
        names.update(
            (name, is_of_python)
            for name, one in type.__dict__["__dict__"].__get__(base).items()
            if isinstance(one, fields) and name not in _NO_SLOTS
        )
    return names


def _pickles_itself(kind: type) -> bool:
    try:
        if kind in copyreg.dispatch_table:
            return True
    except Exception:  # noqa: BLE001 - a metaclass of the user's has a `__hash__` or `__eq__`
        return False
    for base in _bases(kind):
        if _text(base, "__module__") == "builtins":
            return False
        own = type.__dict__["__dict__"].__get__(base)
        if "__reduce__" in own or "__reduce_ex__" in own or "__setstate__" in own:
            return True
    return False


def _text(kind: type, name: str) -> str:
    try:
        text = type.__getattribute__(kind, name)
        return readable(text) if type(text) is str else ""
    except BaseException:  # noqa: BLE001 - a metaclass of the user's
        return ""


def _name(kind: type) -> str:
    return readable(_plain_name(kind))
