"""Which minor versions of Python the workers of a session have, as far as its results tell.

Code that travels by value is compiled, and an executor of another minor version refuses it when it
loads it (see `pymonik.code.compiled`). Once results have shown that a partition has no executor of
this program's version, such a call is refused where it is made, in the same words. A partition may
have pods of several versions: one result of our own version is enough to let calls go.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from pymonik.code.compiled import refusal
from pymonik.errors import SerializationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymonik.code.codec import Packed
    from pymonik.code.packed_function import PackedFunction
    from pymonik.wire.call import Origin

_OURS: Final = sys.version_info[:2]


class Pythons:
    """Versions by partition.

    Any thread may call it: versions are only added, each in one step.

    Attributes:
        has_others: Whether any other version than ours was seen: in most sessions none ever is.
    """

    def __init__(self) -> None:
        self._seen: set[tuple[str, tuple[int, int]]] = set()
        self.has_others = False

    def saw(self, origin: Origin | None) -> None:
        """Note where a result was made; data of the program have no origin."""
        if origin is None:
            return
        key = origin.partition, origin.python
        if key not in self._seen:
            self._seen.add(key)
            self.has_others = self.has_others or origin.python != _OURS

    def check(self, partition: str, function: PackedFunction, calls: Sequence[Packed]) -> None:
        """Refuse calls that no executor of the partition can run, as far as is known.

        Raises:
            SerializationError: They hold code by value, and only other versions were seen there.
        """
        name = function.compiled or next((call.compiled for call in calls if call.compiled), "")
        versions = {python for there, python in list(self._seen) if there == partition}
        if name and versions and _OURS not in versions:
            raise SerializationError(refusal(name, _OURS, max(versions)))
