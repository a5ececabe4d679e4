"""Which value that a function carries is the heavy one, for the warning about its weight."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING

from pymonik.code import codec, culprit

if TYPE_CHECKING:
    from collections.abc import Iterator


def heaviest(function: object) -> str:
    """The largest of its globals and closure, such as ``"global 'table'"``; ``""`` without any."""
    sizes = {name.strip(" ()"): _nbytes(value) for name, value in _carried(function)}
    return max(sizes, key=sizes.__getitem__, default="")


def _carried(function: object) -> Iterator[tuple[str, object]]:
    plain = getattr(function, "func", function)  # of a task
    if isinstance(plain, types.FunctionType):
        yield from culprit.from_around(plain)


def _nbytes(value: object) -> int:
    packed = codec.pack_if_possible(value)
    return 0 if packed is None else packed.nbytes
