"""The hub of events: each real change once to everyone who asked for it, in order for each row."""

from __future__ import annotations

import contextlib
import queue
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pymonik.cluster.state.faults import Fault, ResourceExhausted, ShuttingDown
from pymonik.cluster.state.rows import Change, Kind, Result, Task

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from pymonik.cluster.services.filters import Query

MOST_UNREAD = 100_000  # changes, some 20 MiB
MOST_TOGETHER = 500  # changes
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
        return query.matches(change.row)


class Subscription:
    """The changes for one subscriber: iterate over it, from one thread.

    A subscriber that does not read costs nobody time, and memory up to a bound: then its stream
    ends. It has to list what it missed, as after any other interruption.
    """

    def __init__(self, interest: Interest, leave: Callable[[Subscription], None]) -> None:
        self.interest = interest
        self._leave = leave
        self._changes: queue.SimpleQueue[Change | None] = queue.SimpleQueue()
        self._most = MOST_UNREAD
        self._fault: Fault | None = None

    def offer(self, change: Change) -> None:
        """Queue a change, if it is wanted."""
        if self.interest.covers(change):
            self._changes.put(change)

    def allow_for_present(self) -> None:
        """What is queued now, the rows that exist, does not count for the bound."""
        self._most = self._changes.qsize() + MOST_UNREAD

    @property
    def is_behind(self) -> bool:
        """Whether more is queued than the bound."""
        return self._changes.qsize() > self._most

    def cancel(self) -> None:
        """End the iteration, from any thread."""
        self._leave(self)
        self._changes.put(None)

    def stop(self) -> None:
        """End the iteration with `ShuttingDown`."""
        self._fault = ShuttingDown()
        self._changes.put(None)

    def give_up(self) -> None:
        """End the iteration with `ResourceExhausted`, and drop what was not read."""
        self._fault = ResourceExhausted(f"More than {MOST_UNREAD} events were not read")
        with contextlib.suppress(queue.Empty):
            while True:
                self._changes.get_nowait()
        self._changes.put(None)

    def __iter__(self) -> Iterator[Change]:
        while (change := self._changes.get()) is not None:
            yield change
        if self._fault is not None:
            raise self._fault

    def batches(self, pause: Callable[[], None]) -> Iterator[list[Change]]:
        """The same, several at a time: what comes during a `pause` is given together."""
        for first in self:
            pause()
            batch = [first]
            while len(batch) < MOST_TOGETHER and (change := self._waiting()) is not None:
                batch.append(change)
            yield batch

    def _waiting(self) -> Change | None:
        """The next change if there is one; the end is left for the iteration to find."""
        try:
            change = self._changes.get_nowait()
        except queue.Empty:
            return None
        if change is None:
            self._changes.put(None)
        return change


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
        self._subscriptions.setdefault(interest.session_id, []).append(subscription)
        return subscription

    def leave(self, subscription: Subscription) -> None:
        """Forget a subscriber; one that is gone already is ignored."""
        session_id = subscription.interest.session_id
        others = [one for one in self._subscriptions.get(session_id, ()) if one is not subscription]
        if others:
            self._subscriptions[session_id] = others
        else:
            self._subscriptions.pop(session_id, None)

    def publish(self, changes: Sequence[Change]) -> None:
        """Offer changes to the subscribers of their sessions."""
        if not self._subscriptions:
            return
        for change in changes:
            for subscription in self._subscriptions.get(change.row.session_id, ()):
                if change.kind not in subscription.interest.kinds:
                    continue
                subscription.offer(change)
                if subscription.is_behind:
                    self.leave(subscription)
                    subscription.give_up()

    def stop(self) -> None:
        """End every subscription."""
        for subscriptions in self._subscriptions.values():
            for subscription in subscriptions:
                subscription.stop()
