"""Results under way: which they are, and of which of them the news may have been missed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymonik.session.tasks import OutgoingTask, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymonik.session.ends import Ends
    from pymonik.session.result import ResultState
    from pymonik.session.tasks import Awaited


class Pending:
    """The results whose ends a session waits for.

    Args:
        ends: Of the session.
        makes_ids: Whether ids are made here, and a result exists only once its task was sent.

    Attributes:
        results: By id, in the order in which they are asked about.
        unseen: Those whose news may have been missed; a list has to tell.
        aborted: Those that were told to have failed; a list has to tell why.
        is_stream_up: Whether every end from now on is told.
        look_at: When to ask for a list at the latest, if that is known.
        has_new: Whether tasks were sent since somebody has thought about when to look.
    """

    def __init__(self, ends: Ends, *, makes_ids: bool) -> None:
        self._ends = ends
        self._makes_ids = makes_ids
        self.results: dict[str, Awaited] = {}
        self.unseen: dict[str, None] = {}
        self.aborted: dict[str, None] = {}
        self.is_stream_up = False
        self.look_at: float | None = None
        self.has_new = False

    def watch(self, awaited: Awaited) -> None:
        """Wait for the end of a result."""
        self.results[awaited.result_id] = awaited
        if not self.is_stream_up and self._is_listed(awaited):
            self.unseen[awaited.result_id] = None

    def states(self) -> Iterator[ResultState]:
        """The states that end with the results."""
        return (state for one in self.results.values() for state in one.states)

    def listed(self) -> Iterator[str]:
        """The results that a list may tell of."""
        return (one for one, awaited in self.results.items() if self._is_listed(awaited))

    def _is_listed(self, awaited: Awaited) -> bool:
        """Whether a list has it: where we make the ids, a task's request creates the result."""
        return (
            not self._makes_ids
            or not isinstance(awaited, OutgoingTask)
            or awaited.stage is Stage.SENT
        )

    def miss_news(self) -> None:
        """News of whatever is pending may have been missed."""
        self.unseen = dict.fromkeys(self.listed())

    def look_by(self, at: float) -> None:
        """Ask for a list at that instant at the latest."""
        if self.look_at is None or at < self.look_at:
            self.look_at = at

    def take(self, result_id: str) -> Awaited | None:
        """Take a result out, whose end is known."""
        self.unseen.pop(result_id, None)
        self.aborted.pop(result_id, None)
        return self.results.pop(result_id, None)

    def fail(self, result_id: str, error: BaseException) -> None:
        """Fail what waits for a result that will never be there."""
        awaited = self.take(result_id)
        if awaited is not None:
            self._ends.fail_all(awaited.states, error)
            awaited.leave_series()

    def fail_all(self, error: BaseException) -> None:
        """Fail all that is pending: the news of it will not come."""
        for awaited in list(self.results.values()):
            self._ends.fail_all(awaited.states, error)
        self.results.clear()
        self.unseen.clear()
        self.aborted.clear()
