"""What is known of a result on this side of the wire, and how a handle says "my value goes here".

::

    PENDING ── sent: result_id known ──► PENDING ──► COMPLETED   the value can be fetched
                                            └──────► FAILED      `error` says why it never will
"""

from __future__ import annotations

import enum
import itertools
import math
import threading
import time
from typing import TYPE_CHECKING, Protocol

from pymonik.errors import WaitTimeoutError
from pymonik.wire.call import WHOLE, ResultRef

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymonik.code.opened_result import OpenedResult
    from pymonik.session.again import Again
    from pymonik.session.cached import CachedCall
    from pymonik.session.forgetting import Hold
    from pymonik.session.protocol import Session
    from pymonik.session.run import KeptCall, Run
    from pymonik.session.tasks import Awaited
    from pymonik.wire.call import ResultMeta


class Status(enum.Enum):
    """How far a result is."""

    PENDING = enum.auto()
    COMPLETED = enum.auto()
    FAILED = enum.auto()


class Observer(Protocol):
    """Hears of the end of results."""

    def ended(self, state: ResultState) -> None:
        """The state is final. The session's thread calls this: it must neither block nor raise."""

    def unanswered(self, error: BaseException) -> None:
        """The control plane has not answered for long: waits without a limit are let go.

        The states stay as they are. The session's thread calls this, as it calls `ended`.
        """


class Held:
    """An opened result that several states share, for as long as there is room for it.

    Attributes:
        opened: ``None`` once the session needed the room: whoever reads asks for the data again.
    """

    __slots__ = ("__weakref__", "opened")

    def __init__(self, opened: OpenedResult) -> None:
        self.opened: OpenedResult | None = opened


class ResultState:
    """One result of a session: its id once it is known, and how it ended.

    The session's machine is the only one that changes it; any thread may look at it.

    Attributes:
        result_id: ``None`` until the call was sent.
        item: Where in the result the value stands, if the result holds several; else `WHOLE`.
        index: Its number among the calls of its `map_invoke`; -1 for data and single calls.
        run: What it has in common with those; ``None`` for data.
        call: The arguments of the call, where they are kept.
        cached: Of a call that was looked for among earlier ones.
        again: Of a call that was run again; see `pymonik.session.again`.
        head: What the head of its result says of how it was made, once somebody has read that.
        awaited: The task, or the foreign result, by whose end this state ends.
        task_id: The task that produces it, as submitted; ``""`` for data or before sending.
        holds: On the data, once they are there, where data that nobody holds are deleted. On two
            results if the value was said to stand in the one, and stands in the other.
        news: Its data, or the result that holds them, if they came with the news of its end or were
            read ahead; until they are read.
        observers: Whom to tell of the end.
        error: Why there is no value, once `status` is FAILED.
        ended_at: When this process learned of the end, in seconds since the epoch; 0 before.
        is_seen: Whether somebody in the program looked at how it ended.
    """

    __slots__ = (
        "__weakref__", "_moved", "again", "awaited", "cached", "call", "ended_at", "error", "head",
        "holds", "index", "is_seen", "item", "name", "news", "observers", "result_id", "run",
        "session", "status", "task_id",
    )  # fmt: skip

    def __init__(
        self, session: Session, name: str = "", result_id: str | None = None, item: int = WHOLE
    ) -> None:
        self.session = session
        self.name = name
        self.result_id = result_id
        self.item = item
        self.index = -1
        self.run: Run | None = None
        self.call: KeptCall | bytes | None = None
        self.cached: CachedCall | None = None
        self.again: Again | None = None
        self.head: ResultMeta | None = None
        self.awaited: Awaited | None = None
        self.task_id = ""
        self.status = Status.PENDING
        self.error: BaseException | None = None
        self.ended_at = 0.0
        self.holds: tuple[Hold, ...] = ()
        self.news: bytes | Held | None = None
        self.observers: tuple[Observer, ...] = ()
        self.is_seen = False
        self._moved: ResultRef | None = None

    output = ""  # of several outputs, the name of this one: see `session.outputs`

    @property
    def whole(self) -> ResultState:
        """The state that the machine knows: another one where this is one of several outputs."""
        return self

    @property
    def is_final(self) -> bool:
        """Whether the value is there, or will never be."""
        return self.status is not Status.PENDING

    @property
    def place(self) -> ResultRef:
        """Where the value stands, or will."""
        return self._moved or ResultRef(self.result_id or "", self.item)

    @property
    def is_moved(self) -> bool:
        """Whether its task has said that the value stands in another result."""
        return self._moved is not None

    def move(self, place: ResultRef) -> None:
        """The value stands in another result than was thought."""
        self._moved = place  # in one step: another thread never sees half of it
        self.result_id, self.item = place.result_id, place.item

    def complete(self, now: float | None = None) -> None:
        """The value can be fetched. Does nothing on a final state: events come twice.

        Args:
            now: The time, in seconds since the epoch. States that end together share the number:
                a million of them would take 24 MB.
        """
        self.end(Status.COMPLETED, now)

    def fail(self, error: BaseException) -> None:
        """The value will never exist. Does nothing on a final state."""
        if self.status is Status.PENDING:
            self.error = error  # before the status: whoever sees FAILED finds it
            self.end(Status.FAILED)

    def end(self, status: Status, now: float | None = None) -> None:
        """Become final, if the state is not, and tell those who want to know; see `complete`."""
        if self.status is not Status.PENDING:
            return
        self.ended_at = time.time() if now is None else now
        self.status = status
        self.awaited = None  # or the state would keep its task, with all inputs of that
        # Taken away first: an observer may look at the state, or observe it once more.
        observers, self.observers = self.observers, ()
        for observer in observers:
            observer.ended(self)


class Countdown:
    """Blocks until all of many states are final, or until the first of them has failed.

    Args:
        states: Those that are not final.
        until_failure: Whether one that failed is enough.
        has_end: Whether the wait ends by itself; else it ends when nobody answers for long, too.
    """

    def __init__(
        self,
        states: Sequence[ResultState],
        *,
        until_failure: bool = False,
        has_end: bool = False,
    ) -> None:
        self._states = states
        self._until_failure = until_failure
        self._has_end = has_end
        self._error: BaseException | None = None
        self._ended = itertools.count(1)  # `next` of it is one step, for any number of threads
        self._lock = threading.Lock()  # released once, by whoever ends the wait
        self.alarm = _Alarm(self._lock)
        if states:
            self._lock.acquire()

    def ended(self, state: ResultState) -> None:
        """One of the states is final."""
        is_last = next(self._ended) == len(self._states)
        if is_last or (self._until_failure and state.error is not None):
            release(self._lock)

    def unanswered(self, error: BaseException) -> None:
        """The control plane has not answered for long; see `Observer`."""
        if not self._has_end:
            self._error = error
            release(self._lock)

    def wait(self, timeout: float | None) -> None:
        """Block.

        Raises:
            WaitTimeoutError: Some are pending after ``timeout`` seconds.
            UnavailableError: Nobody has answered for long, and there is no ``timeout``.
        """
        if not acquire(self._lock, timeout):
            left = sum(not state.is_final for state in self._states)
            raise WaitTimeoutError(
                f"{left} of {len(self._states)} results are pending after {timeout} s"
            )
        if self._error is not None:
            raise self._error


class _Alarm:
    """Ends a wait when one of other states has failed."""

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock

    def ended(self, state: ResultState) -> None:
        if state.error is not None:
            release(self._lock)

    def unanswered(self, error: BaseException) -> None:
        """The countdown itself is told."""


def acquire(lock: threading.Lock, timeout: float | None) -> bool:
    """Wait for a lock in C, where an interrupt leaves nothing half done; ``None`` and inf wait on.

    A lock takes at most `threading.TIMEOUT_MAX` seconds.
    """
    if timeout is None or math.isinf(timeout) or timeout >= threading.TIMEOUT_MAX:
        return lock.acquire()
    return lock.acquire(timeout=max(0.0, timeout))


def release(lock: threading.Lock) -> None:
    """Let go whoever waits for the lock; somebody else may have done so."""
    try:
        lock.release()
    except RuntimeError:  # the lock is released already
        return


def learn(states: Sequence[ResultState], results: Sequence[OpenedResult]) -> None:
    """Keep what results say of how they were made; those that hold several values come often."""
    last: OpenedResult | None = None
    head: ResultMeta | None = None
    for state, result in zip(states, results, strict=True):
        if result is not last:  # the values of a chunk come one after the other
            last, head = result, result.meta.without_items()
        state.head = head
