"""Reprs for messages: short, soon, and never an error, whatever the object is.

The repr of an object of the user's is code of the user's. It may raise, never end, or give a
megabyte. Python's own containers are walked here, a few items deep; any other repr runs against a
deadline that all reprs of one failure share.
"""

from __future__ import annotations

import sys
import time
import types
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from pymonik.code.class_making import HEAP_TYPE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

MOST_CHARACTERS: Final = 4096  # of one repr
_MOST_OF_A_TEXT: Final = 1024  # characters, or bytes
_MOST_ITEMS: Final = 20  # of a container
_MOST_DEPTH: Final = 4  # containers in containers
_MOST_BITS: Final = 4096  # of a whole number: a larger one takes long to write, or Python refuses
_MOST_S: Final = 0.02  # seconds of one repr, so that something is left for the others
_FEW_ITEMS: Final = 32  # of an array up to which its items are shown

PLAIN: Final = frozenset({int, float, str, bytes, bool, type(None), complex})
_BRACKETS: dict[type, Sequence[str]] = {
    list: "[]",
    tuple: "()",
    set: "{}",
    frozenset: ("frozenset({", "})"),
    dict: "{}",
}


class ShortReprs:
    """Makes reprs until its time is over.

    Args:
        limit_s: For all reprs of objects that are not Python's own.
    """

    def __init__(self, limit_s: float = 0.05) -> None:
        self._last = self._deadline = time.monotonic() + limit_s

    def of(self, value: object) -> str:
        """The repr of ``value``, or a text in angle brackets where there is none."""
        try:
            return readable(cut(self._of(value, _MOST_DEPTH), MOST_CHARACTERS))
        except BaseException:  # noqa: BLE001 - out of memory, or of stack: a message must not fail
            return "<no repr>"

    def of_call(self, name: str, args: Iterable[object], kwargs: dict[str, object]) -> str:
        """A call as it would be written, with shortened arguments."""
        shown = [cut(self.of(value), 80) for value in islice(args, _MOST_ITEMS)]
        for key, value in islice(kwargs.items(), _MOST_ITEMS):
            shown.append(f"{key}={cut(self.of(value), 80)}")
        return cut(f"{name}({', '.join(shown)})", 500)

    def text_of(self, error: BaseException) -> str:
        """What ``str`` gives for an exception."""
        try:
            if _is_plain(error):
                return readable(str(error))
            return readable(self._guarded(error, str))
        except BaseException:  # noqa: BLE001 - see `of`
            return "<no text>"

    def _of(self, value: Any, depth: int) -> str:
        kind = type(value)
        if kind in _SCALARS:
            return _SCALARS[kind](value)
        for base in (list, tuple, dict, set, frozenset):
            if kind is base or _has_repr_of(kind, base):
                return self._of_container(value, base, depth)
        if kind.__module__ == "numpy" and hasattr(kind, "shape") and hasattr(kind, "dtype"):
            return self._of_array(value)
        if not kind.__flags__ & HEAP_TYPE and (size := _length(value)) > _MOST_ITEMS:
            return f"<{kind.__name__} of {size} items>"
        if _repr_of(kind) is BaseException.__repr__:
            return f"{_name_of(kind)}{self._of_container(value.args, tuple, depth)}"
        return repr(value) if _is_harmless(kind) else self._guarded(value, repr)

    def _of_container(self, value: Any, base: type, depth: int) -> str:
        start, end = _BRACKETS[base]
        if not value:
            return repr(base())
        if depth <= 0:
            return f"{start}...{end}"
        if base is dict:
            shown = [
                f"{self._of(key, depth - 1)}: {self._of(one, depth - 1)}"
                for key, one in islice(dict.items(value), _MOST_ITEMS)
            ]
        else:
            shown = [self._of(one, depth - 1) for one in islice(base.__iter__(value), _MOST_ITEMS)]  # type: ignore[attr-defined]
        left = base.__len__(value) - len(shown)  # type: ignore[attr-defined]
        if left > 0:
            shown.append(f"... {left} more")
        elif base is tuple and len(shown) == 1:
            shown[0] += ","
        return f"{start}{', '.join(shown)}{end}"

    def _of_array(self, value: Any) -> str:
        about = f"{type(value).__name__} {value.dtype} {tuple(value.shape)}"
        if value.size > _FEW_ITEMS or value.dtype.hasobject:
            return f"<{about}>"
        return f"<{about}: {self._guarded(value.tolist(), repr)}>"

    def _guarded(self, value: object, make: Callable[[Any], str]) -> str:
        """``make(value)``, stopped at the deadline where it runs Python code."""
        now = time.monotonic()
        if now > self._last:
            return f"<{_name_of(type(value))}: not shown, since others took too long>"
        self._deadline = min(self._last, now + _MOST_S)
        traced = sys.gettrace()
        try:
            # A trace function is the only thing that can stop a loop of Python code in this thread.
            # One that is set already belongs to a debugger or to a measure of coverage, and stays.
            if traced is None:
                sys.settrace(self._look)
            text = make(value)
            return text if type(text) is str else str.__str__(text)
        except _TooLateError:
            return f"<{_name_of(type(value))}: its {make.__name__} takes too long>"
        except BaseException as error:  # noqa: BLE001 - code of the user's
            return f"<{_name_of(type(value))}: its {make.__name__} raises {_name_of(type(error))}>"
        finally:
            if traced is None:
                sys.settrace(None)

    def _look(self, _frame: types.FrameType, _event: str, _arg: object) -> Any:
        """Called by Python at each line that runs meanwhile."""
        if time.monotonic() > self._deadline:
            raise _TooLateError
        return self._look


class _TooLateError(BaseException):
    """Ends a repr; not an `Exception`, which the repr may catch."""


def readable(text: str) -> str:
    """``text`` with lone surrogates written out: no encoding takes them."""
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode()


def cut(text: str, most: int) -> str:
    """The start of ``text``, which says so if there was more."""
    return text if len(text) <= most else f"{text[:most]}... ({len(text)} characters)"


def _of_text(value: Any) -> str:
    if len(value) <= _MOST_OF_A_TEXT:
        return repr(value)
    unit = "characters" if isinstance(value, str) else "bytes"
    return f"{value[:_MOST_OF_A_TEXT]!r}... ({len(value)} {unit})"


def _of_number(value: int) -> str:
    bits = value.bit_length()
    return repr(value) if bits <= _MOST_BITS else f"<int of {bits} bits>"


_SCALARS: dict[type, Callable[[Any], str]] = {
    int: _of_number,
    str: _of_text,
    bytes: _of_text,
    bytearray: _of_text,
    float: repr,
    bool: repr,
    complex: repr,
    type(None): repr,
}


def _has_repr_of(kind: type, base: type) -> bool:
    """Whether a subclass shows itself as the container that it is."""
    return issubclass(kind, base) and _repr_of(kind) is base.__repr__


def _repr_of(kind: type) -> Any:
    return getattr(kind, "__repr__", None)


def _is_harmless(kind: type) -> bool:
    """Whether a repr runs no Python code: then it needs no deadline.

    Watching one costs much more than most reprs do: Python prepares all code for being traced.
    """
    return _repr_of(kind) is object.__repr__ or kind.__module__ in ("datetime", "decimal", "_io")


def _is_plain(error: BaseException) -> bool:
    """Whether an exception's text is made in C, of plain values."""
    is_of_c = isinstance(getattr(type(error), "__str__", None), types.WrapperDescriptorType)
    return is_of_c and PLAIN.issuperset(map(type, error.args))


def _length(value: Any) -> int:
    try:
        return len(value)
    except BaseException:  # noqa: BLE001 - it has none, or it is being changed
        return 0


def _name_of(kind: type) -> str:
    return readable(type.__dict__["__name__"].__get__(kind))
