"""One lock around the pure state, and what its changes ask of the world.

Nothing slow happens under the lock: objects are removed and runners stopped after it is released.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pymonik.cluster.events import EventHub, Interest, Subscription
from pymonik.cluster.state import draining
from pymonik.cluster.state.restoring import restore
from pymonik.cluster.state.tables import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pymonik.cluster.journal import Journal
    from pymonik.cluster.state.restoring import Rows
    from pymonik.cluster.state.rows import Effects, Partition
    from pymonik.cluster.storage import Storage

MANY_TASKS = 16  # in a queue


def microseconds() -> int:
    """Now, in nanoseconds, as precise as ArmoniK keeps it."""
    return time.time_ns() // 1000 * 1000


class LockedState:
    """The state, and all who are told of its changes; safe to use from any thread.

    Args:
        partitions: The partitions, fixed for its life.
        storage: Where objects are removed that no result has any more.
        default_partition: For sessions that name none; empty for "they must".
        max_priority: The highest that a submission may ask for.
        clock: Nanoseconds since the epoch.
        on_shrunk: Called when at least as many rows are gone as are left.
        journal: Where the rows are kept; what it has is there from the beginning.

    Attributes:
        changing: ``with changing as (state, now)`` holds the lock for a transition, and only with
            that may the others be touched.
        ready: By partition: notified when there is a task, and at the end.
        on_cancel: By task that a runner has: called with its ID, once, when it is to be stopped.
        closed: No more tasks are given.
    """

    def __init__(
        self,
        partitions: Sequence[Partition],
        storage: Storage,
        *,
        default_partition: str = "",
        max_priority: int = 10,
        clock: Callable[[], int] = microseconds,
        on_shrunk: Callable[[], None] = lambda: None,
        journal: Journal | None = None,
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._on_shrunk = on_shrunk
        self._state = State(
            partitions, default_partition=default_partition, max_priority=max_priority
        )
        self._journal = journal
        if journal is not None:
            restore(self._state, self._kept_rows(journal), clock())
            journal.begin(self._state)
        self._hub = EventHub()
        self._lock = threading.Lock()
        self.changing = _Changing(self._begin, self._end)
        self.ready = {key: threading.Condition(self._lock) for key in self._state.partitions}
        self.on_cancel: dict[str, Callable[[str], None]] = {}
        self.closed = False
        self.draining = False

    def _kept_rows(self, journal: Journal) -> Rows:
        rows = journal.read()
        self._storage.restore(rows.data, [row.opaque_id for row in rows.results.values()])
        return rows

    @contextmanager
    def reading(self) -> Iterator[State]:
        """The state, to look at while nothing changes."""
        with self._lock:
            yield self._state

    def is_busy(self) -> bool:
        """Whether many tasks wait for a runner, as it looks without holding the lock."""
        return any(len(queue) >= MANY_TASKS for queue in self._state.queues.values())

    def subscribe(self, interest: Interest) -> Subscription:
        """The changes of a session from now on, after the rows that exist."""
        with self._lock:
            subscription = self._hub.subscribe(
                interest,
                self._state.tasks_of.get(interest.session_id, {}).values(),
                self._state.results_of.get(interest.session_id, {}).values(),
                self._leave,
            )
            if self.closed:
                subscription.stop()
            return subscription

    def drain(self) -> None:
        """Have runners take no more tasks, and cancel those that have not begun."""
        with self._lock:
            self.draining = True
        with self.changing as (state, now):
            draining.drain(state, now)
        with self._lock:
            for condition in self.ready.values():
                condition.notify_all()

    def has_listeners(self) -> bool:
        """Whether a client listens to news."""
        with self._lock:
            return self._hub.has_subscriptions()

    def count_running(self) -> int:
        """How many tasks run."""
        with self._lock:
            return draining.count_running(self._state)

    def close(self) -> None:
        """End every subscription, and have every runner that waits look again."""
        with self._lock:
            self.closed = True
            for condition in self.ready.values():
                condition.notify_all()
            self._hub.stop()

    # Inside.

    def _begin(self) -> tuple[State, int]:
        self._lock.acquire()
        return self._state, self._clock()

    def _end(self) -> None:
        try:
            effects = self._state.take_effects()
            if self._journal is not None:  # before anybody hears of it
                self._journal.write(effects, self._state)
            subscriptions = self._hub.publish(effects.changes)
            stops = self._wake_runners(effects)
        finally:
            self._lock.release()
        for subscription in subscriptions:
            subscription.announce()
        for on_cancel, task_id in stops:
            on_cancel(task_id)
        for opaque_id in effects.garbage:
            self._storage.delete(opaque_id)
        if effects.shrunk:
            self._on_shrunk()

    def _wake_runners(self, effects: Effects) -> list[tuple[Callable[[str], None], str]]:
        """Notify who waits for tasks; gives whom to call about tasks to stop."""
        for partition_id in effects.ready:
            self.ready[partition_id].notify()
        return [
            (self.on_cancel.pop(task_id), task_id)
            for task_id in effects.stopped
            if task_id in self.on_cancel
        ]

    def _leave(self, subscription: Subscription) -> None:
        with self._lock:
            self._hub.leave(subscription)


class _Changing:
    """Hold the lock for a transition, announce it, then carry out what is slow.

    A refused request has effects too: a purge deletes data before it is refused. One object serves
    all threads, many times for each task.
    """

    def __init__(self, begin: Callable[[], tuple[State, int]], end: Callable[[], None]) -> None:
        self._begin = begin
        self._end = end

    def __enter__(self) -> tuple[State, int]:
        return self._begin()

    def __exit__(self, *_: object) -> None:
        self._end()
