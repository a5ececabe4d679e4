"""What is known of a result on this side of the wire, and how a handle says "my value goes here".

::

    PENDING ── sent: result_id known ──► PENDING ──► COMPLETED   the value can be fetched
                                            └──────► FAILED      `error` says why it never will
"""

from __future__ import annotations

import enum
import itertools
import threading
from typing import TYPE_CHECKING, TypeAlias

from pymonik.errors import WaitTimeoutError
from pymonik.wire.call import WHOLE, ResultRef

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pymonik.code.references import Referable
    from pymonik.session.forgetting import Hold
    from pymonik.session.protocol import Session
    from pymonik.session.run import KeptCall, Run
    from pymonik.wire.call import ResultMeta

_Callbacks: TypeAlias = "tuple[Callable[[ResultState], None], ...]"

_lock = threading.Lock()  # for all states: held for a few instructions only


class Status(enum.Enum):
    """How far a result is."""

    PENDING = enum.auto()
    COMPLETED = enum.auto()
    FAILED = enum.auto()


class ResultState:
    """One result of a session: its id once it is known, and how it ended. Thread-safe.

    Attributes:
        result_id: ``None`` until the call was sent.
        item: Where in the result the value stands, if the result holds several; else `WHOLE`.
        index: Its number among the calls of its `map_invoke`; -1 for data and single calls.
        run: What it has in common with those; ``None`` for data.
        call: The arguments of the call, where they are kept.
        head: What the head of its result says of how it was made, once somebody has read that.
        whole: The state of the result that it is an item of, while that is awaited.
        task_id: The task that produces it, as submitted; ``""`` for data or before sending.
        holds: On the data, once they are there, where data that nobody holds are deleted. On two
            results if the value was said to stand in the one, and stands in the other.
        news: Its data, if they are so small that they came with the news of its end; until they
            are read.
        error: Why there is no value, once `status` is FAILED.
    """

    __slots__ = (
        "__weakref__",
        "_callbacks",
        "call",
        "error",
        "head",
        "holds",
        "index",
        "item",
        "name",
        "news",
        "result_id",
        "run",
        "session",
        "status",
        "task_id",
        "whole",
    )  # fmt: skip

    def __init__(
        self, session: Session, name: str = "", result_id: str | None = None, item: int = WHOLE
    ) -> None:
        self.session = session
        self.name = name
        self.result_id = result_id
        self.item = item
        self.whole: ResultState | None = None
        self.index = -1
        self.run: Run | None = None
        self.call: KeptCall | bytes | None = None
        self.head: ResultMeta | None = None
        self.task_id = ""
        self.status = Status.PENDING
        self.error: BaseException | None = None
        self.holds: tuple[Hold, ...] = ()
        self.news: bytes | None = None
        self._callbacks: _Callbacks = ()

    @property
    def is_final(self) -> bool:
        """Whether the value is there, or will never be."""
        return self.status is not Status.PENDING

    @property
    def place(self) -> ResultRef:
        """Where the value stands, or will."""
        with _lock:
            return ResultRef(self.result_id or "", self.item)

    def move(self, place: ResultRef) -> None:
        """The value stands in another result than was thought."""
        with _lock:
            self.result_id, self.item = place.result_id, place.item

    def complete(self) -> None:
        """The value can be fetched. Does nothing on a final state: events come twice."""
        self._end(Status.COMPLETED, None)

    def fail(self, error: BaseException) -> None:
        """The value will never exist. Does nothing on a final state."""
        self._end(Status.FAILED, error)

    def end_with(self, other: ResultState) -> None:
        """End when ``other`` does, and as it does."""
        other.when_final(self._end_as)

    def _end_as(self, other: ResultState) -> None:
        self.news, self.holds = other.news, other.holds
        self._end(other.status, other.error)

    def _end(self, status: Status, error: BaseException | None) -> None:
        with _lock:
            if self.is_final:
                return
            self.error = error
            self.status = status
            callbacks, self._callbacks = self._callbacks, ()
        for callback in callbacks:
            callback(self)

    @staticmethod
    def complete_all(states: Iterable[ResultState]) -> None:
        """`complete` for many, faster."""
        awaited: list[ResultState] = []
        told: list[_Callbacks] = []
        with _lock:
            for state in states:
                if state.status is Status.PENDING:
                    state.status = Status.COMPLETED
                    if state._callbacks:
                        awaited.append(state)
                        told.append(state._callbacks)
                        state._callbacks = ()
        for state, callbacks in zip(awaited, told, strict=True):
            for callback in callbacks:
                callback(state)

    def when_final(self, callback: Callable[[ResultState], None]) -> None:
        """Call ``callback`` once this is final: now if it is, else from the thread that ends it."""
        with _lock:
            if not self.is_final:
                self._callbacks += (callback,)
                return
        callback(self)

    @staticmethod
    def when_each_final(
        states: Iterable[ResultState], callback: Callable[[ResultState], None]
    ) -> None:
        """`when_final` for many, faster."""
        final: list[ResultState] = []
        alone = (callback,)  # the same for all: objects in thousands cost time later too
        with _lock:
            for state in states:
                if state.status is Status.PENDING:
                    state._callbacks = state._callbacks + alone if state._callbacks else alone
                else:
                    final.append(state)
        for state in final:
            callback(state)

    def forget(self, callback: Callable[[ResultState], None]) -> None:
        """Take back a callback that has not been called; does nothing otherwise."""
        with _lock:
            self._callbacks = tuple(one for one in self._callbacks if one != callback)


class Inputs:
    """Of a call, as a callback of its state: they are not forgotten before it has ended."""

    __slots__ = ("_states",)

    def __init__(self, refs: Iterable[Referable]) -> None:
        self._states = [ref._state for ref in refs]

    def __call__(self, _: ResultState) -> None:
        """The call has ended, and lets go of this."""


class Countdown:
    """Waits for many states at once, without looking at them in turn."""

    def __init__(self, states: Sequence[ResultState]) -> None:
        self._states = states
        self._ended = itertools.count(1)  # its `next` is one step, for any number of threads
        self._done = threading.Event()
        if not states:
            self._done.set()
        ResultState.when_each_final(states, self._one_more)

    def _one_more(self, _: ResultState) -> None:
        if next(self._ended) == len(self._states):
            self._done.set()

    def wait(self, timeout: float | None) -> None:
        """Block until all are final.

        Raises:
            WaitTimeoutError: Some are pending after ``timeout`` seconds.
        """
        try:
            if not self._done.wait(timeout):
                left = sum(not state.is_final for state in self._states)
                raise WaitTimeoutError(
                    f"{left} of {len(self._states)} results are pending after {timeout} s"
                )
        finally:
            for state in self._states:
                if state.status is Status.PENDING:
                    state.forget(self._one_more)
