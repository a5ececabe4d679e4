"""Handles in the order in which they end, of calls that may not all be submitted yet."""

from __future__ import annotations

import queue
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from pymonik.code.references import Referable
from pymonik.runs.waiting import over, take

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator

    from pymonik.session.protocol import Session
    from pymonik.session.result import ResultState

H = TypeVar("H", bound=Referable)

# Handles that may wait to be consumed before no more calls are drawn: a program that is slower than
# its calls would otherwise have all values in its memory.
_MOST_DRAWN = 20_000


class More(Protocol[H]):
    """Calls that are not submitted yet."""

    @property
    def is_exhausted(self) -> bool:
        """Whether there are no more handles to take."""

    def draw(self) -> list[H]:
        """Handles that nobody has taken; where there are none, some more are submitted."""

    def draw_all(self) -> None:
        """Submit all that are left, up to an error, which `raise_error` raises."""

    def take(self, into: list[H]) -> None:
        """Append the handles that nobody has taken."""

    def raise_error(self) -> None:
        """Raise what ended them early, if something did."""

    def give_up(self) -> None:
        """Submit no more."""


class Completions(Generic[H]):
    """The handles as they end, once: for ``for`` and for ``async for``.

    Those of ``more`` follow, which is drawn from as handles are consumed.

    Args:
        handles: Those that there are.
        more: Gives others; no more of them are submitted once the iteration is left.
        timeout: Seconds for all of them, from now; ``None`` waits without limit.

    Raises:
        WaitTimeoutError: While iterating: some are still pending after ``timeout``.
        Exception: What ended ``more`` early, after the handles before it.
    """

    def __init__(self, handles: Iterable[H], more: More[H] | None, timeout: float | None) -> None:
        self._waiting = _Waiting(handles, has_end=timeout is not None)
        self._more = more
        self._timeout = timeout
        self._deadline = None if timeout is None else time.monotonic() + timeout
        # A generator, which must not refer to this: left early, it has to end at once.
        self._handles = _blocking(self._waiting, more, self._deadline, timeout)

    def __iter__(self) -> Iterator[H]:
        return self._handles

    def __next__(self) -> H:
        return next(self._handles)

    def __aiter__(self) -> AsyncIterator[H]:
        return _awaiting(self._waiting, self._more, self._deadline, self._timeout)


def _blocking(
    waiting: _Waiting[H],
    more: More[H] | None,
    deadline: float | None,
    timeout: float | None,
) -> Iterator[H]:
    with _left_in_order(waiting, more):
        while waiting.pending:
            try:
                handle = take(waiting.next, waiting.states, _left(deadline))
            except queue.Empty:
                raise over(waiting.states(), timeout, waiting.total) from None
            yield handle
            del handle  # held by whoever wants it, not here
            waiting.draw(more)
        if more is not None:
            more.raise_error()


async def _awaiting(
    waiting: _Waiting[H],
    more: More[H] | None,
    deadline: float | None,
    timeout: float | None,
) -> AsyncIterator[H]:
    with _left_in_order(waiting, more):
        while waiting.pending:
            try:
                handle = await waiting.next_awaited(_left(deadline))
            except queue.Empty:
                raise over(waiting.states(), timeout, waiting.total) from None
            yield handle
            del handle  # held by whoever wants it, not here
            waiting.draw(more)
        if more is not None:
            more.raise_error()


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())


@contextmanager
def _left_in_order(waiting: _Waiting[H], more: More[H] | None) -> Iterator[None]:
    """Whatever ends the iteration: nobody is told any more, and nothing more is submitted."""
    try:
        yield
    finally:
        waiting.forget()
        if more is not None:
            more.give_up()


class _Waiting(Generic[H]):
    """Handles that have not ended, or were not told of."""

    def __init__(self, handles: Iterable[H], *, has_end: bool) -> None:
        self.total = 0
        self.pending = 0
        self._has_end = has_end
        self._ended: queue.SimpleQueue[ResultState | BaseException] = queue.SimpleQueue()
        self._handles: dict[ResultState, list[H]] = {}  # by state: two handles of one call share it
        # Wakes the event loop that waits, if one does.
        self._wake: Callable[[], object] | None = None
        self.add(handles)

    def add(self, handles: Iterable[H]) -> None:
        states: dict[Session, list[ResultState]] = {}
        for handle in handles:
            self.total += 1
            self.pending += 1
            state = handle._state
            self._handles.setdefault(state, []).append(handle)
            states.setdefault(state.session, []).append(state)
        for session, some in states.items():
            session.observe(some, self)

    def ended(self, state: ResultState) -> None:
        """One of the calls is final; see `Observer`."""
        self._put(state)

    def unanswered(self, error: BaseException) -> None:
        """The control plane has not answered for long; see `Observer`."""
        if not self._has_end:
            self._put(error)

    def _put(self, what: ResultState | BaseException) -> None:
        self._ended.put(what)
        if (wake := self._wake) is not None:
            wake()

    def draw(self, more: More[H] | None) -> None:
        """Have some more submitted, unless enough are under way."""
        if more is not None and not more.is_exhausted and self.pending < _MOST_DRAWN:
            self.add(more.draw())

    async def next_awaited(self, timeout: float | None) -> H:
        """Like `next`, without blocking the event loop."""
        from pymonik.handles.event_loops import wake  # only who awaits needs it

        waited = wake(timeout)
        self._wake = waited.end  # before the look: whoever ends after it wakes the loop
        try:
            if self._ended.empty():
                await waited
            return self.next(0)
        finally:
            self._wake = None

    def next(self, timeout: float | None) -> H:
        """The next one that ended; `queue.Empty` is raised after ``timeout``."""
        ended = self._ended.get(timeout=timeout)
        if isinstance(ended, BaseException):
            raise ended
        return self._take(ended)

    def _take(self, state: ResultState) -> H:
        handles = self._handles[state]
        handle = handles.pop()
        if not handles:
            del self._handles[state]
        self.pending -= 1
        return handle

    def states(self) -> list[ResultState]:
        """The states of the calls that have not ended, or were not told of."""
        return list(self._handles)

    def forget(self) -> None:
        states: dict[Session, list[ResultState]] = {}
        for state in self._handles:
            if not state.is_final:
                states.setdefault(state.session, []).append(state)
        for session, some in states.items():
            session.ignore(some, self)
