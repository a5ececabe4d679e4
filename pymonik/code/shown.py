"""Arguments of a call as text, read from the pickle in which they travelled.

The pickle is read without running any code of the user: what is no plain value comes out as the
name of its class and an ellipsis. So a thread of ours may read it at any time, whatever the
arguments are, and it costs no more than the pickle is long.
"""

from __future__ import annotations

import io
import pickle
import reprlib
from typing import TYPE_CHECKING, Any, Final, NoReturn

from pymonik.wire.definitions import split_definitions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymonik.wire.containers import Buffer

# Bounds of what is shown: it has to fit into a line of a table.
_LONGEST_VALUE: Final = 40  # characters of one argument
_MOST_VALUES: Final = 6  # of a list, and entries of a dict
_SAFE: Final = frozenset(  # classes that only hold what they are given
    {
        ("builtins", "set"),
        ("builtins", "frozenset"),
        ("builtins", "complex"),
        ("builtins", "bytearray"),
        ("builtins", "slice"),
        ("builtins", "range"),
    }
)

_MADE_BY: Final = {  # functions that pickles call, and what they make
    "slot": "handle",
    "frombuffer": "array",
    "reconstruct": "array",
    "make_function": "function",
    "make_skeleton_class": "class",
    "subimport": "module",
}


def shown_call(call: Buffer, names: Sequence[str] = (), longest: int = 120) -> str:
    """``mesh=17, dt=0.5``; ``""`` where the pickle cannot be read.

    Args:
        call: The pickle of positional and keyword arguments.
        names: Of the parameters, for those that were given by position.
        longest: Characters of the whole.
    """
    try:
        stream = call if call[0] == pickle.PROTO[0] else split_definitions(call)[1]
        args, kwargs = _Reader(io.BytesIO(stream), buffers=_NoBuffers()).load()[:2]
        named = [
            f"{names[place]}={_shown(value)}" if place < len(names) else _shown(value)
            for place, value in enumerate(args)
        ]
        named += [f"{name}={_shown(value)}" for name, value in kwargs.items()]
    except Exception:  # noqa: BLE001 - a pickle that cannot be read is not shown
        return ""
    text = ", ".join(named)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _shown(value: object) -> str:
    text = _short.repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"


class _Stub:
    """Stands for an object of a class that is not made here: takes everything, keeps its name."""

    _name = "object"

    def __new__(cls, *_: object, **__: object) -> _Stub:
        return object.__new__(cls)

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass

    def __call__(self, *_: object, **__: object) -> _Stub:
        return self

    def __setitem__(self, _: object, __: object) -> None:
        pass

    def append(self, _: object) -> None:
        """An element of a list of its own class."""

    def extend(self, _: object) -> None:
        """Several of them."""

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"{self._name}(…)"


def _stub(name: str) -> type[_Stub]:
    name = name.rpartition(".")[2].lstrip("_")
    return type("_Stub", (_Stub,), {"_name": _MADE_BY.get(name, name)})


def _stub_by_name(_: str, name: str) -> type[_Stub]:
    """For `pymonik.code.functions.by_name`: a class that its module has under another name."""
    return _stub(name)


class _Reader(pickle.Unpickler):
    """Reads plain values and stubs."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _SAFE:
            return super().find_class(module, name)
        return _stub_by_name if name == "by_name" else _stub(name)

    def persistent_load(self, _: object) -> NoReturn:
        raise pickle.UnpicklingError("no pickle of ours has persistent ids")


class _NoBuffers:
    """Stands for the buffers of arrays, of which nothing is shown."""

    def __iter__(self) -> _NoBuffers:
        return self

    def __next__(self) -> bytes:
        return b""


class _Short(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = _MOST_VALUES
        self.maxdict = self.maxarray = self.maxdeque = _MOST_VALUES
        self.maxstring = self.maxother = self.maxlong = _LONGEST_VALUE
        self.maxlevel = 3


_short: Final = _Short()
