"""Waits for handles in an event loop."""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Generator, Sequence

    from pymonik.session.result import ResultState


def ended(
    states: Sequence[ResultState], *, until_failure: bool = False
) -> Generator[Any, None, None]:
    """Wait in an event loop until all are final, or one has failed; all are of one session."""
    pending = [state for state in states if not state.is_final]
    if not pending or (until_failure and any(state.error is not None for state in states)):
        return
    observer = _Awaiting(running_loop(), len(pending), until_failure=until_failure)
    session = pending[0].session
    session.observe(pending, observer)
    try:
        yield from observer.future
    finally:
        if left := [state for state in pending if not state.is_final]:
            session.ignore(left, observer)


class _Awaiting:
    """Somebody in an event loop who waits for states."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, number: int, *, until_failure: bool
    ) -> None:
        self._loop = loop
        self._number = number
        self._until_failure = until_failure
        self._ended = itertools.count(1)  # its `next` is one step, for any number of threads
        self.future: asyncio.Future[None] = loop.create_future()

    def ended(self, state: ResultState) -> None:
        """Tell the loop, if nothing is left to be waited for; see `Observer`."""
        is_last = next(self._ended) == self._number
        if not is_last and not (self._until_failure and state.error is not None):
            return
        with contextlib.suppress(RuntimeError):  # the loop was closed: nobody awaits
            self._loop.call_soon_threadsafe(_set, self.future)

    def unanswered(self, error: BaseException) -> None:
        """Raise it where the states are awaited; see `Observer`."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(_fail, self.future, error)


def running_loop() -> asyncio.AbstractEventLoop:
    """The loop that the caller runs in."""
    import asyncio  # a third of an executor's start, and only who awaits needs it

    return asyncio.get_running_loop()


def _fail(future: asyncio.Future[None], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
