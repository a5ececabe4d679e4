"""Whether a dict has changed, in the time of one look: CPython counts the changes of all dicts.

``sys.modules`` and the names of `builtins` have hundreds of entries, and both are looked at after
each task. To go over them touches each of the objects, which a busy machine has to fetch anew.
"""

from __future__ import annotations

import ctypes
import struct
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

# Behind the number of references, the type, and the number of entries; up to Python 3.13.
_OFFSET = 3 * struct.calcsize("P")


def version_of(names: dict[str, Any]) -> Callable[[], int] | None:
    """What gives a number that is another one after each change of a dict.

    ``None`` where this Python does not count changes, or elsewhere: found out with dicts of ours.
    """
    return _reader(names) if sys.implementation.name == "cpython" and _counts() else None


def _reader(names: dict[str, Any]) -> Callable[[], int]:
    count = ctypes.c_uint64.from_address(id(names) + _OFFSET)
    return lambda: count.value


def _counts() -> bool:
    tried: dict[str, Any] = {"a": 1, "b": 2}
    version = _reader(tried)
    seen = [version()]
    if version() != seen[0]:
        return False
    for change in (
        lambda: tried.update(a=2),
        lambda: tried.__setitem__("c", 3),
        lambda: tried.__delitem__("b"),
        lambda: tried.pop("a"),
        tried.clear,
    ):
        change()
        seen.append(version())
    return len(set(seen)) == len(seen)
