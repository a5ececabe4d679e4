"""Completed results that nobody has read, in the order in which they ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import weakref

    from pymonik.session.result import ResultState

# Results that ended so many places before one that is read now may be read next: several workers
# end calls in another order than that in which a program reads them.
_BEFORE = 32
_SPARE = 1024  # places of results that were read, before the list is made anew without them


class Unread:
    """Which results are worth reading together with one that somebody reads."""

    def __init__(self) -> None:
        self._states: dict[str, weakref.ref[ResultState]] = {}
        self._order: list[str] = []
        self._places: dict[str, int] = {}  # in the list

    def __len__(self) -> int:
        return len(self._states)

    def add(self, result_id: str, state: weakref.ref[ResultState]) -> None:
        """A result has ended."""
        if len(self._order) > 2 * len(self._states) + _SPARE:
            self._order = list(self._states)
            self._places = {one: place for place, one in enumerate(self._order)}
        self._states[result_id] = state
        self._places[result_id] = len(self._order)
        self._order.append(result_id)

    def discard(self, result_id: str) -> None:
        """It was read, or is being read."""
        self._states.pop(result_id, None)

    def around(self, result_id: str, most: int) -> list[tuple[str, weakref.ref[ResultState]]]:
        """Take those that ended around a result, in their order; none if nobody knows when it did.

        What a program has waited for and never reads lies at the beginning for as long as it has
        the handles: it must not be read instead.

        Args:
            result_id: Of the one that is read, taken before or not.
            most: Of them.
        """
        place = self._places.get(result_id)
        if place is None:
            return []
        start = max(0, place - _BEFORE)
        # A result that came again, as one that several handles brought here, stands there twice.
        near = dict.fromkeys(self._order[start : start + most + _BEFORE])
        taken = [(one, self._states[one]) for one in near if one in self._states][:most]
        for one, _ in taken:
            del self._states[one]
        return taken
