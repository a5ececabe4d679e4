"""How many calls end in a second, by what looks have seen."""

from __future__ import annotations

from collections import deque
from typing import Final

RECENT_S: Final = 30.0  # the rate is that of as many seconds before the look
_SOON_S: Final = 1.0  # seconds; less history than this says nothing about the rate


class Rate:
    """Calls a second.

    Args:
        started: When the first call was submitted, on the clock of the looks.
    """

    def __init__(self, started: float) -> None:
        self._ended: deque[tuple[float, int]] = deque([(started, 0)])  # instant, how many

    def seen(self, now: float, ended: int) -> None:
        """A look has found more calls ended than the one before: so many in all."""
        self._ended.append((now, ended))

    def at(self, now: float) -> float:
        """From the look that is at least `RECENT_S` old, or else from the start; 0 if unknown."""
        while len(self._ended) > 1 and now - self._ended[1][0] >= RECENT_S:
            self._ended.popleft()
        since, before = self._ended[0]
        passed = now - since
        return (self._ended[-1][1] - before) / passed if passed >= _SOON_S else 0.0
