"""How many calls go into a task, from how long the calls before have taken."""

from __future__ import annotations

from math import ceil

from pymonik.wire.call import MOST_CALLS

# Seconds that a task is to take. Must stay below `executor.chunk.LATE_S` (0.6 s), after which an
# executor gives back the calls that it has not begun.
_AIM_S = 0.4
_SHORTEST_S = 0.025  # seconds of a task at least: one costs 12 to 16 ms of an agent of ArmoniK
_ALONE_S = 0.1  # seconds from which a call has a task of its own
_FIRST = 4  # calls that go alone at once, to learn how long they take
# Seconds after which twice as many may be under way, as long as none has ended.
_DOUBLED_EVERY_S = 0.1
_AHEAD_S = 1.0  # seconds of work that wait at each worker while the client learns and sends
_MOST_AHEAD = 16  # tasks of that work, at most
_FORGET = 0.5  # factor of what is known at each task that ended: later ones count more


class Pace:
    """Decides for the calls of one function; not thread-safe.

    Args:
        workers: That may run them at the same time, as far as is known.
        size: Calls in each task, if that is given.

    Attributes:
        partition: Where the calls run; ``""`` is the session's own.
    """

    def __init__(self, workers: int, size: int | None = None) -> None:
        self.partition = ""
        self._most_workers = max(1, workers)
        self._seen: set[object] = set()
        self._size = size if size is None else min(size, MOST_CALLS)
        self._seconds = 0.0
        self._calls = 0.0
        self._tasks = 0.0
        self._ended = 0

    @property
    def is_known(self) -> bool:
        """Whether anything was measured."""
        return self._size is not None or self._calls > 0

    @property
    def call_s(self) -> float:
        """Seconds that a call takes, as far as is known."""
        return self._seconds / self._calls if self._calls else 0.0

    def may_run_on(self, workers: int) -> None:
        """How many workers there may be at most, once somebody said so."""
        self._most_workers = max(1, workers)

    def saw(self, worker: object) -> None:
        """A task of these calls ran on ``worker``: a number of pods that may exist says little."""
        self._seen.add(worker)

    @property
    def _workers(self) -> int:
        """Workers that have run a task, once some have; until then those that there may be."""
        return min(len(self._seen), self._most_workers) or self._most_workers

    def learn(self, seconds: float, calls: int) -> None:
        """A task of ``calls`` calls has taken ``seconds``."""
        self._seconds = self._seconds * _FORGET + max(seconds, 1e-7 * calls)
        self._calls = self._calls * _FORGET + calls
        self._tasks = self._tasks * _FORGET + 1
        self._ended += 1

    def size(self, left: int) -> int:
        """Calls of the next task, of ``left`` that there are."""
        if self._size is not None:
            return min(left, self._size)
        if not self._calls or self.call_s >= _ALONE_S:
            return 1
        # Towards the end smaller tasks, for the workers to end at the same time.
        share = ceil(left / (2 * self._workers))
        size = max(min(int(_AIM_S / self.call_s), share), ceil(_SHORTEST_S / self.call_s))
        return min(size, left, MOST_CALLS)

    def window(self, waited_s: float) -> int:
        """Tasks to have under way, at most: no worker shall wait for the client to send.

        Args:
            waited_s: Since the first was sent.
        """
        if not self.is_known:
            doubled = min(int(waited_s / _DOUBLED_EVERY_S), 30)
            return min(2 * self._most_workers, _FIRST << doubled)
        if not self._calls:
            return 2 * self._most_workers
        # Few at first: what is packed meanwhile keeps these from leaving.
        few = max(2, 1 + self._ended // self._most_workers)
        task_s = self._seconds / self._tasks
        return self._most_workers * min(1 + ceil(_AHEAD_S / task_s), _MOST_AHEAD, few)

    def next_look_s(self, waited_s: float) -> float | None:
        """Seconds after which the window grows by itself, if it does."""
        if self.is_known or self.window(waited_s) >= 2 * self._most_workers:
            return None
        next_s = (int(waited_s / _DOUBLED_EVERY_S) + 1) * _DOUBLED_EVERY_S
        return max(0.001, next_s - waited_s)
