"""The hub of events: each real change once to everyone who asked for it, in order for each row.

ArmoniK promises less: events may come twice, in any order. Clients that cope with that cope with
this. The hub is called with the lock of the state held; only a `Subscription` has a side without
it.
"""

from __future__ import annotations

import queue
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pymonik.cluster.state.faults import Fault, ResourceExhausted, ShuttingDown
from pymonik.cluster.state.rows import Change, Kind, Result, Task

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from pymonik.cluster.services.filters import Query

# Changes that a subscriber may have unread, some 20 MiB of them; then its stream ends, and it has
# to list.
MOST_UNREAD = 100_000
MOST_TOGETHER = 500  # changes in one message of the direct socket, so that none grows without bound
TASK_KINDS = (Kind.NEW_TASK, Kind.TASK_STATUS)


@dataclass(frozen=True)
class Interest:
    """What a subscriber wants to hear of."""

    session_id: str
    tasks: Query
    results: Query
    kinds: Collection[Kind]

    def covers(self, change: Change) -> bool:
        """Whether a change is wanted; filters look at the row as it is now."""
        if change.kind not in self.kinds:
            return False
        query = self.tasks if change.kind in TASK_KINDS else self.results
        return query.takes_all or query.matches(change.row)


class Subscription:
    """The changes for one subscriber: iterate over it, from one thread.

    ::

        offer ──► changes ──► announce ──► the thread that iterates

    A subscriber that does not read costs nobody time, and memory up to a bound: then its stream
    ends. It has to list what it missed, as after any other interruption.
    """

    def __init__(self, interest: Interest, leave: Callable[[Subscription], None]) -> None:
        self.interest = interest
        self._leave = leave
        # `append` and `popleft` of a deque are one step each: the state's threads add and the
        # subscriber's takes without a lock.
        self._changes: deque[Change] = deque()
        # An item wakes the thread that iterates.
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._most = MOST_UNREAD
        self._is_over = False
        self._fault: Fault | None = None

    def offer(self, change: Change) -> bool:
        """Queue a change, if it is wanted: then it has to be announced."""
        if not self.interest.covers(change):
            return False
        self._changes.append(change)
        return True

    def announce(self) -> None:
        """Have who iterates look; without the lock of the state."""
        # One item is enough: the thread that takes it looks afterwards, and so finds all changes
        # that were queued before.
        if self._wake.empty():
            self._wake.put(None)

    def allow_for_present(self) -> None:
        """What is queued now, the rows that exist, does not count for the bound."""
        self._most = len(self._changes) + MOST_UNREAD

    @property
    def is_behind(self) -> bool:
        """Whether more is queued than the bound."""
        return len(self._changes) > self._most

    def cancel(self) -> None:
        """End the iteration, from any thread."""
        self._leave(self)
        self._end()

    def stop(self) -> None:
        """End the iteration with `ShuttingDown`."""
        self._end(ShuttingDown())

    def give_up(self) -> None:
        """End the iteration with `ResourceExhausted`, and drop what was not read."""
        self._changes.clear()
        self._end(ResourceExhausted(f"More than {MOST_UNREAD} events were not read"))

    def __iter__(self) -> Iterator[Change]:
        for changes in self.batches():
            yield from changes

    def batches(self, pause: Callable[[], None] = lambda: None) -> Iterator[list[Change]]:
        """The changes in lists: what comes during a `pause` is in one list."""
        is_over = False
        while not is_over:
            self._wake.get()
            if self._changes:
                pause()
            # Read before the changes are taken: what was offered before the end is still given.
            is_over = self._is_over
            while changes := self._take(MOST_TOGETHER):
                yield changes
        if self._fault is not None:
            raise self._fault

    def _end(self, fault: Fault | None = None) -> None:
        self._fault = fault
        self._is_over = True
        self._wake.put(None)

    def _take(self, most: int) -> list[Change]:
        """The first changes; `give_up` may remove them meanwhile."""
        taken: list[Change] = []
        try:
            while len(taken) < most:
                taken.append(self._changes.popleft())
        except IndexError:
            pass
        return taken


class EventHub:
    """The subscribers of each session. Callers hold the lock of the state."""

    def __init__(self) -> None:
        self._subscriptions: dict[str, list[Subscription]] = {}

    def subscribe(
        self,
        interest: Interest,
        tasks: Iterable[Task],
        results: Iterable[Result],
        leave: Callable[[Subscription], None],
    ) -> Subscription:
        """Join; rows that exist come first, as new, with the status that they have."""
        subscription = Subscription(interest, leave)
        for task in tasks:
            subscription.offer(Change(Kind.NEW_TASK, task, task.status))
        for result in results:
            value = (result.owner_task_id, result.status)
            subscription.offer(Change(Kind.NEW_RESULT, result, value))
        subscription.allow_for_present()
        subscription.announce()
        self._subscriptions.setdefault(interest.session_id, []).append(subscription)
        return subscription

    @property
    def kinds(self) -> frozenset[Kind]:
        """What at least one subscriber wants to hear of."""
        every = (one for some in self._subscriptions.values() for one in some)
        return frozenset(kind for one in every for kind in one.interest.kinds)

    def has_subscriptions(self) -> bool:
        """Whether anybody listens."""
        return bool(self._subscriptions)

    def leave(self, subscription: Subscription) -> None:
        """Forget a subscriber; one that is gone already is ignored."""
        session_id = subscription.interest.session_id
        others = [one for one in self._subscriptions.get(session_id, ()) if one is not subscription]
        if others:
            self._subscriptions[session_id] = others
        else:
            self._subscriptions.pop(session_id, None)

    def publish(self, changes: Sequence[Change]) -> Collection[Subscription]:
        """Offer changes to the subscribers of their sessions; whom they are to be announced to."""
        found: dict[Subscription, None] = {}
        if not self._subscriptions:
            return found
        for change in changes:
            for subscription in self._subscriptions.get(change.row.session_id, ()):
                if not subscription.offer(change):
                    continue
                found[subscription] = None
                if subscription.is_behind:
                    self.leave(subscription)
                    subscription.give_up()
        return found

    def stop(self) -> None:
        """End every subscription."""
        for subscriptions in self._subscriptions.values():
            for subscription in subscriptions:
                subscription.stop()
