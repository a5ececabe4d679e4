"""Data that nobody can ask for any more are deleted, many together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymonik.session import events

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymonik.session.asking import Asking
    from pymonik.session.ends import Ends

# Seconds from the first result that nobody holds to the request that deletes it and those that come
# meanwhile: handles of a map mostly go together.
_GATHER_S = 0.05
# The same where a request costs a control plane that serves others too.
_GATHER_FAR_S = 1.0


class Deleting:
    """Results whose last handle is gone.

    Args:
        asking: Makes the requests.
        ends: Of the session: with it goes what it had.
        are_kept: Whether somebody may ask for forgotten results whom the session does not see.
        is_far: Whether requests travel.
    """

    def __init__(
        self, asking: Asking, ends: Ends, are_kept: Callable[[], bool], *, is_far: bool = False
    ) -> None:
        self._gather_s = _GATHER_FAR_S if is_far else _GATHER_S
        self._asking = asking
        self._ends = ends
        self._are_kept = are_kept
        self._forgotten: list[str] = []

    def forgot(self, event: events.Forgotten, now: float) -> None:
        """Nothing refers to these results any more."""
        if not self._forgotten:
            self._asking.after(now + self._gather_s, self.delete)
        self._forgotten += event.ids
        if self._ends.closed is not None:  # the channel may be closed before more come together
            self.delete(now)

    def delete(self, _: float) -> None:
        """Ask for what was gathered so far."""
        ids, self._forgotten = self._forgotten, []
        if ids and not self._are_kept() and not self._ends.is_over:
            self._asking.ask(events.Delete(ids))
