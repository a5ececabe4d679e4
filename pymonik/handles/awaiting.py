"""Waits for handles in an event loop."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from pymonik.handles.event_loops import Wake, wake

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from pymonik.session.result import ResultState


def ended(
    states: Sequence[ResultState], *, until_failure: bool = False
) -> Generator[Any, None, None]:
    """Wait in an event loop until all are final, or one has failed; all are of one session."""
    pending = [state for state in states if not state.is_final]
    if not pending or (until_failure and any(state.error is not None for state in states)):
        return
    waited = wake()
    observer = _Awaiting(waited, len(pending), until_failure=until_failure)
    session = pending[0].session
    session.observe(pending, observer)
    try:
        yield from waited.__await__()
    finally:
        # The wait was cancelled, or one failure has ended it: the other states have nobody to tell.
        if left := [state for state in pending if not state.is_final]:
            session.ignore(left, observer)


class _Awaiting:
    """Somebody in an event loop who waits for states."""

    def __init__(self, waited: Wake, number: int, *, until_failure: bool) -> None:
        self._wake = waited
        self._number = number
        self._until_failure = until_failure
        self._ended = itertools.count(1)  # `next` of it is one step, for any number of threads

    def ended(self, state: ResultState) -> None:
        """Tell the loop, if nothing is left to be waited for; see `Observer`."""
        is_last = next(self._ended) == self._number
        if is_last or (self._until_failure and state.error is not None):
            self._wake.end()

    def unanswered(self, error: BaseException) -> None:
        """Raise it where the states are awaited; see `Observer`."""
        self._wake.end(error)
