"""How calls ended that share a result: its head is read once it is there, from a thread.

::

    whole result completed ──► its head ──► each item: value · failure · stands in another result
                 failed    ──► every item fails in the same way            │
                                                                           └─► followed in turn
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from pymonik.errors import UnavailableError
from pymonik.session.result import ResultState, Status
from pymonik.wire.call import WHOLE, ItemMeta

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymonik.code.codec import OpenedResult
    from pymonik.code.failure import Failure
    from pymonik.session.result import Inputs
    from pymonik.transport.opened import OpenedResults

_log = logging.getLogger(__name__)
_MOST_AT_ONCE = 64  # results, opened together

_PLAIN = ItemMeta(1)

_BYTES_PER_S = 128 * 1024 * 1024  # a result that is large is long, however soon it was made

Learn = Callable[[float, int], None]


class ChunkState(ResultState):
    """The state of a result that several calls share.

    Attributes:
        items: The states of the calls, until the result is there.
    """

    __slots__ = ("items",)

    items: Sequence[ResultState]


class _Awaited(NamedTuple):
    whole: ResultState
    items: Sequence[ResultState]
    learn: Learn | None
    inputs: Inputs | None


class ChunkReader:
    """Ends the states of items.

    Args:
        opened: Gives the results.
        attach: Gives the state of a result that is known by its id only.
    """

    def __init__(self, opened: OpenedResults, attach: Callable[[str], ResultState]) -> None:
        self._opened = opened
        self._attach = attach
        self._changed = threading.Condition()
        self._followed = 0
        self._thread: threading.Thread | None = None
        self._completed: queue.SimpleQueue[_Awaited | None] = queue.SimpleQueue()

    def follow(
        self,
        whole: ResultState,
        items: Sequence[ResultState],
        learn: Learn | None = None,
        inputs: Inputs | None = None,
    ) -> None:
        """End ``items`` when ``whole`` ends, each as its place in the result says.

        Args:
            whole: The state of the result.
            items: Those to end; they know which item they are.
            learn: Called at the end, with the seconds that calls took, and how many did; 0 if
                there is no result.
            inputs: Of the calls; held until the last of them has ended.
        """
        awaited = _Awaited(whole, items, learn, inputs)
        with self._changed:
            self._followed += 1
        whole.when_final(lambda _: self._ended(awaited))

    def join(self) -> None:
        """Wait until everything that was followed has ended."""
        with self._changed:
            while self._followed:
                self._changed.wait(1.0)

    def close(self) -> None:
        """Read what has completed, and end the thread."""
        with self._changed:
            thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            self._completed.put(None)
            thread.join()

    # -- the end of a result -------------------------------------------------------------------

    def _ended(self, awaited: _Awaited) -> None:
        if awaited.whole.status is Status.FAILED:
            self._failed(awaited, awaited.whole.error)
            return
        self._start()
        self._completed.put(awaited)

    def _start(self) -> None:
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="pymonik-chunks", daemon=True
                )
                self._thread.start()

    # -- thread --------------------------------------------------------------------------------

    def _run(self) -> None:
        while batch := self._next_batch():
            self._settle(batch)
            del batch  # whoever waits for the next one must hold no results

    def _next_batch(self) -> list[_Awaited]:
        """Waits for results; empty at the end."""
        batch: list[_Awaited] = []
        while not batch or (len(batch) < _MOST_AT_ONCE and not self._completed.empty()):
            awaited = self._completed.get()
            if awaited is None:
                if batch:  # they come first
                    self._completed.put(None)
                break
            batch.append(awaited)
        return batch

    def _settle(self, batch: Sequence[_Awaited]) -> None:
        try:
            results = self._opened.get([awaited.whole for awaited in batch])
        except Exception as error:  # noqa: BLE001 - every handle must learn why, whatever it is
            if len(batch) == 1 or isinstance(error, UnavailableError):
                for awaited in batch:
                    self._failed(awaited, error)
                return
            for awaited in batch:  # one that cannot be read must not fail the others
                self._settle([awaited])
            return
        for awaited, result in zip(batch, results, strict=True):
            try:
                self._settle_items(awaited, result)
            except Exception as error:  # noqa: BLE001, PERF203 - see above
                self._failed(awaited, error)
            else:
                self._done(awaited, *_learned(result))

    def _settle_items(self, awaited: _Awaited, result: OpenedResult) -> None:
        elsewhere: dict[str, list[ResultState]] = {}
        completed: list[ResultState] = []
        items = result.meta.items
        try:
            for state in awaited.items:
                # Where it stands, and where calls that need it will look first.
                state.holds += awaited.whole.holds
                item = _PLAIN if state.item == WHOLE else items[state.item]
                if item.ref is not None:
                    state.move(item.ref)
                    elsewhere.setdefault(item.ref.result_id, []).append(state)
                    continue  # it is never without a whole
                state.whole = None
                if item.failed:
                    failure: Failure = result.value(state.item)
                    state.fail(failure.to_exception(state.task_id, state.result_id or ""))
                else:
                    completed.append(state)
        finally:
            ResultState.complete_all(completed)
        for result_id, states in elsewhere.items():
            whole = self._attach(result_id)
            if isinstance(awaited.whole, ChunkState):
                whole = _share_of(whole, states)
            for state in states:
                state.whole = whole
            self.follow(whole, states, inputs=awaited.inputs)

    def _failed(self, awaited: _Awaited, error: BaseException | None) -> None:
        for state in awaited.items:
            state.fail(error or RuntimeError("a result failed without an error"))
            state.whole = None
        self._done(awaited, 0.0, 0)

    def _done(self, awaited: _Awaited, seconds: float, calls: int) -> None:
        if isinstance(awaited.whole, ChunkState):
            awaited.whole.items = ()
        if awaited.learn is not None:
            awaited.learn(seconds, calls)
        with self._changed:
            self._followed -= 1
            self._changed.notify_all()


def _learned(result: OpenedResult) -> tuple[float, int]:
    """Seconds that calls took, and how many: without those that run elsewhere."""
    calls = sum(item.ref is None for item in result.meta.items)
    if not result.meta.seconds:
        return 0.0, 0
    return max(result.meta.seconds, result.nbytes / _BYTES_PER_S), max(1, calls)


def _share_of(elsewhere: ResultState, states: Sequence[ResultState]) -> ChunkState:
    """A result that holds these items and no others, all that are left of it."""
    whole = ChunkState(elsewhere.session, elsewhere.name, elsewhere.result_id)
    whole.items = states
    whole.end_with(elsewhere)
    return whole
