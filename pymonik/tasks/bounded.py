"""A map of which only so many calls are queued: ``map_invoke(items, max_queued=100)``.

::

    items ──► feeder (a thread) ──► submitted ──► ended ──┐
                 ▲ room for another one ◄─────────────────┘
"""

from __future__ import annotations

import threading
from itertools import islice
from typing import TYPE_CHECKING, Any

from pymonik.content.sealing import one_moment
from pymonik.tasks.mapping import Drawing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymonik.code.codec import Packed
    from pymonik.handles.result_handle import ResultHandle
    from pymonik.session.protocol import Session, Submission
    from pymonik.session.result import ResultState
    from pymonik.tasks.resumed import Batch

_MOST_TOGETHER = 1024  # calls of one submission, however many have ended at the same time


class BoundedDrawing(Drawing):
    """Draws an item when a call has ended, whoever waits or not.

    Args:
        calls: Of the map.
        session: Of a client.
        submission: Of the calls.
        batch: As for `Drawing`.
        most: Calls that have not ended, at most.
    """

    def __init__(
        self,
        calls: Iterator[Packed],
        session: Session,
        submission: Submission,
        batch: Batch | None,
        most: int,
    ) -> None:
        super().__init__(calls, session, submission, batch)
        self._most = most
        self._room = threading.Semaphore(0)  # released once for each call that has ended
        # Guards what the feeder gives and others take; its lock may be entered again by a signal.
        self._changed = threading.Condition()
        self._unanswered: BaseException | None = None

    def begin(self) -> list[ResultHandle[Any]]:
        """The handles of the first calls; the others follow as these end.

        Raises:
            Exception: What an item, or the iterator, raised; nothing is submitted then.
        """
        __tracebackhide__ = True
        handles = self.draw_first(self._most)
        if not self._is_over:
            threading.Thread(target=self._feed, name="pymonik-feeder", daemon=True).start()
            self._watch(handles)
        return handles

    def draw(self) -> list[ResultHandle[Any]]:
        """Handles that nobody has taken, once there are some or there will be none."""
        with self._changed:
            while not (self._ready or self._is_over):
                self._wait()
            handles: list[ResultHandle[Any]] = []
            self.take(handles)
        return handles

    def draw_all(self) -> None:
        """Wait until all are submitted, which is when nearly all have ended.

        Raises:
            UnavailableError: Nobody has answered for long.
        """
        with self._changed:
            while not self._is_over:
                self._wait()

    def take(self, into: list[ResultHandle[Any]]) -> None:
        """Append the handles that were drawn; each is taken once."""
        with self._changed:
            super().take(into)

    def give_up(self) -> None:
        """Submit no more."""
        with self._changed:
            super().give_up()
            self._changed.notify_all()
        self._room.release()  # the feeder may wait for it

    # -- as an observer of the calls -------------------------------------------------------------

    def ended(self, _: ResultState) -> None:
        """There is room for another call."""
        self._room.release()

    def unanswered(self, error: BaseException) -> None:
        """Whoever waits for the end of the map is let go, as from any other wait."""
        with self._changed:
            self._unanswered = error
            self._changed.notify_all()

    # -- inside ----------------------------------------------------------------------------------

    def _wait(self) -> None:
        """Until the feeder has done something. The condition is held."""
        self._changed.wait()
        error, self._unanswered = self._unanswered, None
        if error is not None and not self._is_over:
            raise error

    def _watch(self, handles: list[ResultHandle[Any]]) -> None:
        self._session.observe([handle._state for handle in handles], self)

    def _feed(self) -> None:
        error: BaseException | None = None
        try:
            while not self._is_over:
                self._feed_some()
        except BaseException as raised:  # noqa: BLE001 - of the user's iterator, or the session ended
            error = raised
        with self._changed:
            self._error = error if isinstance(error, Exception) else self._error
            self._is_over = True
            self._changed.notify_all()

    def _feed_some(self) -> None:
        """Wait for room, and fill all that there is with one submission."""
        self._room.acquire()
        count = 1
        while count < _MOST_TOGETHER and self._room.acquire(blocking=False):
            count += 1
        if self._is_over:
            return
        calls: list[Packed] = []
        try:
            with one_moment():
                calls.extend(islice(self._calls, count))
        finally:  # calls before an item that is wrong are submitted
            handles = self._submit(calls)
            with self._changed:
                self._ready += handles
                if len(calls) < count:
                    self._is_over = True
                self._changed.notify_all()
            self._watch(handles)
