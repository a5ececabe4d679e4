"""Callers who wait: for the ends of calls, until all are sent, until there is room for more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymonik.errors import UnavailableError
from pymonik.session.result import Status

if TYPE_CHECKING:
    from pymonik.session import events
    from pymonik.session.ends import Ends
    from pymonik.session.events import Reply
    from pymonik.session.items import Items
    from pymonik.session.outgoing import Outgoing
    from pymonik.session.pending import Pending
    from pymonik.session.result import Observer
    from pymonik.session.sending import Sending


class Waits:
    """All who wait for results; a wait has the calls leave that were submitted so far.

    Args:
        ends: Of the session.
        outgoing: Calls that have not left.
        sending: Tasks that are leaving.
        pending: Results under way.
        items: Calls of results that are being read.
    """

    def __init__(
        self, ends: Ends, outgoing: Outgoing, sending: Sending, pending: Pending, items: Items
    ) -> None:
        self._ends = ends
        self._outgoing = outgoing
        self._sending = sending
        self._pending = pending
        self._items = items
        self._flushes: list[Reply] = []  # until everything is sent
        self._drains: list[Reply] = []  # until there is room
        self._empties: list[Reply] = []  # until everything has ended

    def observed(self, event: events.Observed, _: float) -> None:
        """Somebody wants to be told of the ends of calls."""
        self._outgoing.hurry()
        alone = (event.observer,)
        for state in event.states:
            if state.status is Status.PENDING:
                state.observers = state.observers + alone if state.observers else alone
            else:
                event.observer.ended(state)

    def unobserved(self, event: events.Unobserved, _: float) -> None:
        """An observer does not want to hear of these states any more."""
        for state in event.states:
            if event.observer in state.observers:
                state.observers = tuple(o for o in state.observers if o is not event.observer)

    def flushed(self, event: events.Flushed, _: float) -> None:
        """Somebody waits until everything is sent."""
        self._outgoing.hurry_all()
        self._flushes.append(event.reply)

    def drained(self, event: events.Drained, _: float) -> None:
        """Somebody waits for room."""
        self._drains.append(event.reply)
        self._outgoing.hurry()

    def emptied(self, event: events.Emptied, _: float) -> None:
        """Somebody waits until everything has ended."""
        self._empties.append(event.reply)
        self._outgoing.hurry()

    def reply_if_done(self) -> None:
        """Let go whoever has waited long enough."""
        if self._flushes:
            self._outgoing.hurry_all()
            if self._is_all_sent():
                _give_all(self._flushes)
        if self._drains and not self._outgoing.is_crowded:
            _give_all(self._drains)
        if self._empties:
            self._outgoing.hurry()
            if self._is_all_sent() and not self._pending.results and not self._items.are_being_read:
                _give_all(self._empties)

    def unanswered(self, silent_s: float) -> None:
        """Let go waits without a limit, as nobody has answered for long; the calls go on."""
        detail = (
            f"nobody has answered for {silent_s:.0f} s. The calls go on: wait for them again, or "
            "give Pymonik() a longer unavailable_timeout"
        )
        error = UnavailableError("wait", detail)
        for replies in (self._flushes, self._drains, self._empties):
            for reply in replies:
                reply.give(error=error)
            replies.clear()
        for observer in self._observers():
            observer.unanswered(error)

    def _observers(self) -> list[Observer]:
        """All observers of states that have not ended, each once."""
        parts = (self._outgoing, self._sending, self._pending, self._items)
        states = (state for part in parts for state in part.states())
        found = {id(one): one for state in states for one in state.observers}
        return list(found.values())

    def _is_all_sent(self) -> bool:
        return self._ends.is_over or not (self._outgoing.has_calls or self._sending.has_tasks)


def _give_all(replies: list[Reply]) -> None:
    for reply in replies:
        reply.give()
    replies.clear()
