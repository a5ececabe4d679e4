"""Handles in the order in which they end, of calls that may not all be submitted yet."""

from __future__ import annotations

import queue
import time
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from pymonik.code.references import Referable
from pymonik.runs.waiting import over, take

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pymonik.session.protocol import Session
    from pymonik.session.result import ResultState

H = TypeVar("H", bound=Referable)

_MOST_DRAWN = 20_000  # calls of an iterator that have not been consumed


class More(Protocol[H]):
    """Calls that are not submitted yet."""

    is_exhausted: bool

    def draw(self) -> list[H]:
        """Submit some of them."""

    def draw_all(self) -> list[H]:
        """Submit all that are left, up to an error, which `raise_error` raises."""

    def raise_error(self) -> None:
        """Raise what ended them early, if something did."""

    def give_up(self) -> None:
        """Submit no more."""


def completions(handles: Iterable[H], more: More[H] | None, timeout: float | None) -> Iterator[H]:
    """The handles as they end, and those of ``more``, which is drawn from as they are consumed.

    Args:
        handles: Those that there are.
        more: Gives others; no more of them are submitted once the iteration is left.
        timeout: Seconds for all of them, from now; ``None`` waits without limit.

    Raises:
        WaitTimeoutError: Some are still pending after ``timeout``.
        Exception: What ended ``more`` early, after the handles before it.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    return _completions(_Waiting(handles), more, timeout, deadline)


def _completions(
    waiting: _Waiting[H], more: More[H] | None, timeout: float | None, deadline: float | None
) -> Iterator[H]:
    try:
        while waiting.pending:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                handle = take(waiting.next, waiting.states, left)
            except queue.Empty:
                raise over(waiting.states(), timeout, waiting.total) from None
            yield handle
            del handle  # held by whoever wants it, not here
            if more is not None and not more.is_exhausted and waiting.pending < _MOST_DRAWN:
                waiting.add(more.draw())
        if more is not None:
            more.raise_error()
    finally:
        waiting.forget()
        if more is not None:
            more.give_up()


class _Waiting(Generic[H]):
    """Handles that have not ended, or were not told of."""

    def __init__(self, handles: Iterable[H]) -> None:
        self.total = 0
        self.pending = 0
        self._ended: queue.SimpleQueue[ResultState] = queue.SimpleQueue()
        self._handles: dict[ResultState, list[H]] = {}  # several may share a state
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
        """One of them is final; see `Observer`."""
        self._ended.put(state)

    def next(self, timeout: float | None) -> H:
        state = self._ended.get(timeout=timeout)
        handles = self._handles[state]
        handle = handles.pop()
        if not handles:
            del self._handles[state]
        self.pending -= 1
        return handle

    def states(self) -> list[ResultState]:
        """Of those that have not ended, or were not told of."""
        return list(self._handles)

    def forget(self) -> None:
        states: dict[Session, list[ResultState]] = {}
        for state in self._handles:
            if not state.is_final:
                states.setdefault(state.session, []).append(state)
        for session, some in states.items():
            session.ignore(some, self)
