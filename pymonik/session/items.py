"""Calls that share a result end one by one: by a value, a failure, or a place in another result."""

from __future__ import annotations

import time
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any

from pymonik.errors import ControlPlaneError
from pymonik.session.result import Held, Status
from pymonik.session.tasks import Awaited, OutgoingTask, is_item

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pymonik.code.opened_result import OpenedResult
    from pymonik.session.ends import Ends
    from pymonik.session.events import Contents
    from pymonik.session.pace import Pace
    from pymonik.session.pending import Pending
    from pymonik.session.result import ResultState
    from pymonik.wire.call import ItemMeta

# Opened results that are kept for states nobody has read yet, in bytes and in number (each has
# small objects, of which its bytes tell nothing). The oldest go first; whoever reads those asks
# again.
_KEPT_BYTES = 64 * 1024 * 1024
_KEPT = 1024
LARGE_BYTES = 1024 * 1024  # bytes up to which a result is read that nobody has asked for
# Moving a value takes its time too: a call counts for as many seconds as its bytes divided by this,
# if that is longer than it ran. A result that was too large to be read counts as 16 times
# `LARGE_BYTES`.
_BYTES_PER_S = 128 * 1024 * 1024
_LARGE = 16


class Items:
    """What results that were opened tell of their calls.

    Args:
        ends: Of the session.
        pending: Results under way: items may stand in another one.
    """

    def __init__(self, ends: Ends, pending: Pending) -> None:
        self._ends = ends
        self._pending = pending
        # Completed results whose heads are on their way, by id: until then it is not known how
        # their items have ended.
        self._being_read: dict[str, Awaited] = {}
        self._kept: deque[tuple[weakref.ref[Held], int]] = deque()
        self._kept_bytes = 0

    @property
    def are_being_read(self) -> bool:
        """Whether the head of some result is to be read for the ends of its items."""
        return bool(self._being_read)

    def states(self) -> Iterator[ResultState]:
        """The states that end when the head of their result was read."""
        return (state for one in self._being_read.values() for state in one.states)

    def read(self, awaited: Awaited) -> None:
        """The head of a result that is there is about to be read."""
        self._being_read[awaited.result_id] = awaited

    def are_read(self, result_id: str) -> bool:
        """Whether the end of something depends on the head of a result."""
        return result_id in self._being_read

    def are_only_timed(self, result_id: str) -> bool:
        """Whether a result is read only for how long its call took: it may be large."""
        awaited = self._being_read.get(result_id)
        return awaited is not None and not any(map(is_item, awaited.states))

    def were_large(self, result_id: str) -> None:
        """A call whose result is too large to be read for its seconds has a task of its own."""
        awaited = self._being_read.pop(result_id, None)
        if isinstance(awaited, OutgoingTask):
            if awaited.series is not None:
                awaited.series.pace.learn(LARGE_BYTES / _BYTES_PER_S * _LARGE, 1)
            awaited.leave_series()

    def are_unreadable(self, result_id: str, error: BaseException) -> None:
        """Fail the items of a result whose head cannot be read."""
        awaited = self._being_read.pop(result_id, None)
        if awaited is not None:
            self._ends.fail_all([state for state in awaited.states if is_item(state)], error)
            awaited.leave_series()

    def fail_all(self, error: BaseException) -> None:
        """No head of a result will be read."""
        for result_id in list(self._being_read):
            self.are_unreadable(result_id, error)

    def arrived(self, result_id: str, contents: Contents) -> None:
        """The head of a result was read: end what it tells of."""
        awaited = self._being_read.pop(result_id, None)
        if awaited is None:
            return
        if isinstance(awaited, OutgoingTask) and awaited.series is not None:
            _learn(awaited.series.pace, contents.opened)
        try:
            self._settle(awaited, contents)
        except BaseException:
            # Whatever fails the session has to find those that have not ended yet.
            self._being_read[result_id] = awaited
            raise
        awaited.leave_series()

    def _settle(self, awaited: Awaited, contents: Contents) -> None:
        """End each item as its place in the result says."""
        elsewhere: dict[str, list[ResultState]] = {}
        items = contents.opened.meta.items
        head = contents.opened.meta.without_items()
        held: Held | None = None
        has_printed, now = contents.opened.meta.output, time.time()
        for state in awaited.states:
            if state.status is not Status.PENDING:
                continue
            item = items[state.item] if state.item < len(items) else None
            if item is not None and item.ref is not None:
                state.move(item.ref)
                elsewhere.setdefault(item.ref.result_id, []).append(state)
                continue
            state.head = head
            if item is None or item.failed:
                self._ends.fail(state, _error(state, item, contents))
                continue
            state.news = held = held or self.keep(contents.opened)
            state.end(Status.COMPLETED, now)
            if has_printed:
                self._ends.tell_printed(state, contents.opened)
        for result_id, states in elsewhere.items():
            self.follow(result_id, states, awaited.inputs, is_ours=awaited.is_ours)
            self._pending.look_by(0.0)  # the result may have ended before anybody here knew of it

    def follow(
        self, result_id: str, states: list[ResultState], inputs: Sequence[Any], *, is_ours: bool
    ) -> None:
        """End states when another result does, and as their places in it say."""
        being_read = self._being_read.get(result_id)
        known = self._pending.results.get(result_id) or being_read
        if known is None:
            known = Awaited(result_id, states, inputs, is_ours=is_ours)
            self._pending.results[result_id] = known
            self._pending.unseen[result_id] = None
        else:
            known.states = [*known.states, *states]
            known.inputs = [*known.inputs, *inputs]
        for state in states:
            state.awaited = known
            if known is being_read and not is_item(state):
                state.complete()

    def keep(self, opened: OpenedResult) -> Held:
        """Keep a result for those whose values it holds, as long as there is room."""
        held = Held(opened)
        self._kept.append((weakref.ref(held), opened.nbytes))
        self._kept_bytes += opened.nbytes
        while len(self._kept) > 1 and (
            self._kept_bytes > _KEPT_BYTES or len(self._kept) > _KEPT or self._kept[0][0]() is None
        ):
            oldest, nbytes = self._kept.popleft()
            self._kept_bytes -= nbytes
            known = oldest()  # `None` where all states of it are gone
            if known is not None:
                known.opened = None
        return held


def _error(state: ResultState, item: ItemMeta | None, contents: Contents) -> BaseException:
    """Why an item has no value."""
    if item is None:
        return ControlPlaneError("DownloadResultData", "an item is missing")
    return contents.errors[state.item]


def _learn(pace: Pace, opened: OpenedResult) -> None:
    """Seconds that calls took, without those that run elsewhere; and who ran them."""
    meta = opened.meta
    if meta.origin is not None:
        pace.saw((meta.origin.host, meta.origin.pid, meta.origin.executor))
    if meta.seconds:
        calls = [item.ref for item in meta.items].count(None)
        pace.learn(max(meta.seconds, opened.nbytes / _BYTES_PER_S), max(1, calls))
