"""When all that a call may have changed is put back, and when only what calls change most.

::

    calls of one function that follow each other at once, and changed nothing:   full · · · · full ·
    a call that took long, another function, nothing to do:                      full

To look at all of it takes some 15 µs, as long as the rest of a tiny task. A function whose last
calls have changed nothing is unlikely to change something rare in its next one, so between those
only a little is looked at, for a millisecond at most. A call of another function finds everything
as it was, and so does whoever comes after a pause.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pymonik.executor.surroundings import Surroundings

_CLEAN_CALLS: Final = 3  # of a function, after which it is believed
_LONGEST_S: Final = 0.001  # from one full look to the next


class PuttingBack:
    """Decides, for the tasks of one executor.

    Args:
        surroundings: Of the executor.
    """

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._function = ""  # whose calls come now
        self._clean = 0  # how many of its last calls changed nothing
        self._looked = 0.0  # when all was looked at
        self._owes = False  # whether only a little was looked at since

    def begins(self, function: str) -> str:
        """Calls of a function begin; why they may not begin here, or nothing.

        Args:
            function: The id of its content.
        """
        if function == self._function:
            return ""
        self._function, self._clean = function, 0
        return self.rests()

    def rests(self) -> str:
        """No call comes now; why none may follow, or nothing."""
        return self._all() if self._owes else ""

    def ended(self) -> str:
        """A task has ended; why none may follow, or nothing."""
        if self._clean >= _CLEAN_CALLS and time.monotonic() - self._looked < _LONGEST_S:
            self._owes = True
            self._surroundings.put_back_little()
            return ""
        before = self._surroundings.changes
        reason = self._all()
        self._clean = self._clean + 1 if self._surroundings.changes == before else 0
        return reason

    def _all(self) -> str:
        reason = self._surroundings.put_back()
        self._owes = False
        self._looked = time.monotonic()
        return reason
