"""One lock around the pure state, and what its changes ask of the world.

Nothing slow happens under the lock: objects are removed and runners stopped after it is released.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pymonik.cluster.event_hub import EventHub, Interest, Subscription
from pymonik.cluster.state import draining
from pymonik.cluster.state.faults import NoRoom, NotKept
from pymonik.cluster.state.restoring import restore
from pymonik.cluster.state.tables import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from pymonik.cluster.journal import Journal
    from pymonik.cluster.state.restoring import Rows
    from pymonik.cluster.state.rows import Effects, Partition
    from pymonik.cluster.storage import Storage

    Moment = tuple[State, int]

# Tasks in a queue from which on the cluster counts as busy: news of results then wait a moment to
# be told together, see `services.embedded`.
MANY_TASKS = 16
_LOOK_S = 0.5  # seconds between two looks at whether a full disk has room again


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
            # `begin` comes after `restore`: it writes the file anew with the rows as they are now.
            restore(self._state, self._kept_rows(journal), clock())
            journal.begin(self._state)
        self._hub = EventHub()
        self._listen()
        self._lock = threading.Lock()
        self.changing = _Changing(self._begin, self._end)
        self._withheld: list[Effects] = []  # of transitions that could not be written yet
        self._writes_missed: threading.Thread | None = None
        self._no_more = threading.Event()
        # Conditions of the one lock, so a runner that finds no task goes to sleep in the same step.
        self.ready = {key: threading.Condition(self._lock) for key in self._state.partitions}
        self.on_cancel: dict[str, Callable[[str], None]] = {}
        self.closed = False
        self.draining = False

    def asked(self, nbytes: int = 0, *, deletes: bool = False) -> AbstractContextManager[Moment]:
        """Like `changing`, for a request, which is acknowledged by the end of the block.

        Where rows are kept, it is refused as long as they cannot be written.

        Args:
            nbytes: That the request brings.
            deletes: Whether it makes room: then it is not refused before it has.

        Raises:
            NoRoom: There is no room for it on the disk; nothing has happened.
            NotKept: There was too little, by what the request turned out to change.
        """
        if self._journal is None:
            return self.changing
        return _Asked(self, None if deletes else nbytes)

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
        # `queues` has the same keys for the life of the cluster, and `len` of a list is one step: a
        # number that is late does no harm.
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
            self._listen()
            if self.closed:
                subscription.stop()
            return subscription

    def _listen(self) -> None:
        """Have the state tell what somebody wants to hear; called with the lock held."""
        if self._journal is None:  # which keeps every row that has changed
            self._state.wanted = self._hub.kinds

    def drain(self) -> None:
        """Have runners take no more tasks, and cancel those that have not begun.

        Where rows are kept, those stay pending: the cluster that has the rows next runs them.
        """
        with self._lock:
            self.draining = True
        if self._journal is None:
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
        self._no_more.set()

    # Inside.

    def _begin(self) -> tuple[State, int]:
        self._lock.acquire()
        return self._state, self._clock()

    def _end(self, *, deletes: bool = False) -> bool:
        """Tell of a transition; whether it is where it is kept, and may be acknowledged."""
        try:
            effects = self._state.take_effects()
            told = [effects] if self._journal is None else self._kept(effects, deletes=deletes)
            subscriptions = [one for e in told for one in self._hub.publish(e.changes)]
            stops = [one for e in told for one in self._wake_runners(e)]
        finally:
            self._lock.release()
        # From here on without the lock: waking a thread, stopping a task and deleting a file take
        # long, and all of them may come back to the state.
        for subscription in subscriptions:
            subscription.announce()
        for on_cancel, task_id in stops:
            on_cancel(task_id)
        for one in told:
            for opaque_id in one.garbage:
                self._storage.delete(opaque_id)
            if one.shrunk:
                self._on_shrunk()
        return bool(told)

    # Rows that are kept on the disk: no transition is told before its row is written.

    def _kept(self, effects: Effects, *, deletes: bool) -> list[Effects]:
        """What may be told now: nothing while nothing can be written, all of it afterwards."""
        assert self._journal is not None
        if deletes:
            # These data may take the room that the row of their deletion needs, and a client has
            # asked to have them deleted.
            for opaque_id in effects.garbage:
                self._storage.delete(opaque_id)
        if self._journal.write(effects, self._state):
            told, self._withheld = [*self._withheld, effects], []
            return told
        self._withheld.append(effects)
        if self._writes_missed is None:
            self._writes_missed = threading.Thread(
                target=self._write_missed, name="pymonik-no-room", daemon=True
            )
            self._writes_missed.start()
        return []

    def _write_missed(self) -> None:
        """Look for room until there is some: runners and clients wait for what is withheld."""
        while not self._no_more.wait(_LOOK_S):
            if self._tell_missed():
                return

    def _tell_missed(self) -> bool:
        self._lock.acquire()
        if self._withheld and not self._journal_has_all():
            self._lock.release()
            return False
        self._writes_missed = None
        self._end()  # with the effects of nothing: those that were withheld follow
        return True

    def _journal_has_all(self) -> bool:
        return self._journal is None or self._journal.write_missed(self._state)

    def _begin_asked(self, nbytes: int | None) -> tuple[State, int]:
        begun = self._begin()
        try:
            if nbytes is not None:
                self._make_room(nbytes)
        except BaseException:
            self._lock.release()
            raise
        return begun

    def _make_room(self, nbytes: int) -> None:
        assert self._journal is not None
        if not self._journal.write_missed(self._state):
            raise NoRoom(self._journal.lacks)
        try:
            self._journal.reserve(nbytes)
        except OSError as error:
            raise NoRoom(str(error)) from error

    def _wake_runners(self, effects: Effects) -> list[tuple[Callable[[str], None], str]]:
        """Notify who waits for tasks; gives whom to call about tasks to stop."""
        # As many runners wake as there are tasks: more would find nothing.
        for partition_id, count in Counter(effects.ready).items():
            self.ready[partition_id].notify(count)
        return [
            # Taken out, so that a runner is told once however often its task is cancelled.
            (self.on_cancel.pop(task_id), task_id)
            for task_id in effects.stopped
            if task_id in self.on_cancel
        ]

    def _leave(self, subscription: Subscription) -> None:
        with self._lock:
            self._hub.leave(subscription)
            self._listen()


class _Changing:
    """Hold the lock for a transition, announce it, then carry out what is slow.

    A refused request has effects too: a purge deletes data before it is refused. One object serves
    all threads, many times for each task.
    """

    def __init__(self, begin: Callable[[], tuple[State, int]], end: Callable[[], object]) -> None:
        self._begin = begin
        self._end = end

    def __enter__(self) -> tuple[State, int]:
        return self._begin()

    def __exit__(self, *_: object) -> None:
        self._end()


class _Asked:
    """The block of `LockedState.asked`, of a cluster that keeps its rows.

    Args:
        locked: The state.
        nbytes: That the request brings; ``None`` of one that deletes.
    """

    def __init__(self, locked: LockedState, nbytes: int | None) -> None:
        self._locked = locked
        self._nbytes = nbytes

    def __enter__(self) -> Moment:
        return self._locked._begin_asked(self._nbytes)

    def __exit__(self, kind: object, *_: object) -> None:
        is_kept = self._locked._end(deletes=self._nbytes is None)
        journal = self._locked._journal
        if kind is None and not is_kept and journal is not None:
            raise NotKept(journal.lacks)
