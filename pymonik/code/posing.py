"""Objects that pose as others: proxies, mocks, whatever tells another class than its own."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST_ASKED: Final = 1024  # classes that are remembered


class Asked:
    """What is known of classes: a pickler is made for each call, and asks again each time.

    Args:
        ask: Looks at a class and its bases, which takes some microseconds.
    """

    def __init__(self, ask: Callable[[type], bool]) -> None:
        self._ask = ask
        self._known: dict[int, tuple[weakref.ref[type], bool]] = {}  # by the address of the class

    def __call__(self, kind: type) -> bool:
        """What is so of objects of this class."""
        known = self._known.get(id(kind))
        if known is not None and known[0]() is kind:
            return known[1]
        if len(self._known) >= _MOST_ASKED:
            self._known.clear()
        answer = self._ask(kind)
        self._known[id(kind)] = weakref.ref(kind), answer
        return answer


@Asked
def may_pose(kind: type) -> bool:
    """Whether objects of this class may tell another class than theirs, as proxies do."""
    return any("__class__" in vars(base) for base in kind.__mro__[:-1])
