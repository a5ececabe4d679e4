"""The calls that one caller of the pool has waiting: the first runs, some others are sent ahead.

::

    first ──► running ──► ended() ──► more calls ──► sent ahead ──► running ──► ...
                 │                                      │
                 └── slow, or its executor died ────────┴──► not_begun()
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import TYPE_CHECKING, Protocol

from pymonik.executor.agent import Agent, no_agent
from pymonik.executor.ahead import DEPTH
from pymonik.wire import containers
from pymonik.wire.call import MEMORY_LABEL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymonik.executor.ahead import Ahead
    from pymonik.executor.chunk import HandOver
    from pymonik.executor.endings import Ending
    from pymonik.executor.frames import Run
    from pymonik.wire.call import PayloadMeta

LEAST_LIMIT_S = 1.0  # a run with less time is not sent ahead: its time counts from its start


@dataclass(frozen=True, slots=True)
class Call:
    """A run and its limits; see `ExecutorPool.run`."""

    run: Run
    time_limit_s: float | None
    hand_over: HandOver | None = None
    counts_loading: bool = False
    agent: Agent = no_agent


class Source(Protocol):
    """Where calls come from."""

    def ended(self, call: Call, ending: Ending) -> Sequence[Call]:
        """A call ended; gives those to run next."""

    def not_begun(self, call: Call) -> None:
        """A call was not run, and is not going to be: it waited behind one that is slow."""


class Line:
    """Calls in their order.

    Args:
        first: The first.
        source: Gives more.
    """

    def __init__(self, first: Call, source: Source) -> None:
        self._waiting = deque([first])
        self._source = source

    def __len__(self) -> int:
        return len(self._waiting)

    def next(self) -> Call:
        """The call that runs now."""
        return self._waiting.popleft()

    def again(self, call: Call) -> None:
        """A call was not begun, and comes first in the next executor."""
        self._waiting.appendleft(call)

    def ended(self, call: Call, ending: Ending) -> None:
        """A call ended."""
        self._waiting.extend(self._source.ended(call, ending))

    def send(self, ahead: Ahead, meta: PayloadMeta) -> None:
        """Send ahead what can be: small runs of single calls that need what this one needed."""
        if not ahead.count:  # and what was claimed has ended
            ahead.clear()
        behind = islice(self._waiting, ahead.count, DEPTH)
        following = takewhile(lambda call: _may_follow(call, meta), behind)
        ahead.send([call.run for call in following])

    def shorten(self, length: int) -> None:
        """Give back all calls but the first ones."""
        while len(self._waiting) > length:
            self._source.not_begun(self._waiting.pop())


def _may_follow(call: Call, meta: PayloadMeta) -> bool:
    if call.time_limit_s is not None and call.time_limit_s < LEAST_LIMIT_S:
        return False
    if MEMORY_LABEL in call.run.options.options:  # it needs an executor with that limit
        return False
    payload = call.run.data.get(call.run.payload_id)
    if payload is None:
        return False
    needs = containers.needs_of(payload)
    return (
        needs is not None
        and not needs.chunked
        and needs.environment == meta.environment
        and needs.bundle == meta.bundle
        and needs.archive == meta.archive
        and needs.board == meta.board
    )


class Only:
    """The source of a single call.

    Attributes:
        endings: How it ended.
    """

    def __init__(self) -> None:
        self.endings: list[Ending] = []

    def ended(self, call: Call, ending: Ending) -> Sequence[Call]:  # noqa: ARG002
        """Nothing comes after it."""
        self.endings.append(ending)
        return ()

    def not_begun(self, call: Call) -> None:
        """Does not happen: it waits behind nothing."""
