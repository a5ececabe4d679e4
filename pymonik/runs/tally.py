"""How many of some calls have ended and how: a `Tally` counts, a `Snapshot` is what it saw.

Nobody tells a tally anything: at each look it goes over the calls that had not ended at the look
before. So calls that nobody looks at cost nothing, and all looks together cost as much as there are
calls, and what still waits once more for each look.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from enum import IntEnum
from statistics import median
from typing import TYPE_CHECKING, Final

from pymonik.errors import TaskCancelledError
from pymonik.runs.error_lines import summary
from pymonik.runs.figures import most_bytes, seconds_of
from pymonik.runs.rate import Rate
from pymonik.session.result import Status

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pymonik.runs.error_lines import Fault
    from pymonik.session.result import ResultState

_REMEMBERED: Final = 2_000  # durations of which the median is taken: a look must stay short
_EXAMPLES: Final = 5  # items of a group of errors that are named


class Mark(IntEnum):
    """How far an item is; the numbers stand in `Snapshot.marks`."""

    PENDING = 0
    RUNNING = 1
    OK = 2
    FAILED = 3
    CANCELLED = 4


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """Items that failed in the same way.

    Attributes:
        fault: Class and text of the first one's error.
        count: How many.
        items: Numbers of the first of them.
    """

    fault: Fault
    count: int
    items: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a look saw.

    Attributes:
        title: Function and label.
        marks: A `Mark` for each item, in order.
        indexes: Numbers of the items, in order.
        elapsed_s: Since the first was submitted, until the last one ended or now.
        rate: Calls that ended a second, lately; 0 where that is not known.
        quiet_s: Since a look last saw something change.
        errors: The largest group first.
        slowest: Number and seconds of the call that took longest, of those whose time is known.
        median_s: Of those.
        peak_bytes: The most memory that an executor had meanwhile, as far as known; else 0.
        why: Reasons for a long silence, where somebody found them.
    """

    title: str
    marks: bytes
    indexes: Sequence[int]
    elapsed_s: float
    rate: float = 0.0
    quiet_s: float = 0.0
    errors: tuple[ErrorGroup, ...] = ()
    slowest: tuple[int, float] | None = None
    median_s: float = 0.0
    peak_bytes: int = 0
    why: str = ""

    @property
    def total(self) -> int:
        """All items."""
        return len(self.marks)

    def count(self, mark: Mark) -> int:
        """How many items are that far."""
        return self.marks.count(mark)

    @property
    def left(self) -> int:
        """How many have not ended."""
        return self.count(Mark.PENDING) + self.count(Mark.RUNNING)

    @property
    def eta_s(self) -> float | None:
        """Seconds until all have ended if it goes on like this; ``None`` where nobody knows."""
        return self.left / self.rate if self.left and self.rate else None

    def with_reasons(self, why: str) -> Snapshot:
        """The snapshot with reasons for its silence."""
        return replace(self, why=why)


class Tally:
    """Counts calls, look by look. Not thread-safe.

    Args:
        states: Of the calls.
        title: Function and label.
        started: When the first was submitted, on the same clock as the looks.
    """

    def __init__(self, states: Sequence[ResultState], title: str, started: float) -> None:
        self.states = states
        self._title = title
        self._started = started
        # A byte for each call: a map of a million has a snapshot of one megabyte, which is copied
        # at once.
        self._marks = bytearray(len(states))
        self._indexes = [
            place if state.index < 0 else state.index for place, state in enumerate(states)
        ]
        self._left: list[int] = list(range(len(states)))  # places of those that had not ended
        self._seconds: deque[float] = deque(maxlen=_REMEMBERED)
        self._slowest: tuple[float, int] | None = None  # with the number of the item
        self._rate = Rate(started)
        self._changed = started
        self._errors: dict[str, ErrorGroup] = {}
        self._peak_bytes = 0

    def look(self, now: float, running: Collection[str] = ()) -> Snapshot:
        """What has happened until now.

        Args:
            now: On the clock of ``started``.
            running: Ids of the tasks that workers have, as they were submitted.
        """
        self._count(now)
        marks = self._marks
        if running:
            # RUNNING holds for this look only; in `_marks` stands what is final.
            marks = self._marks.copy()
            for place in self._left:
                if self.states[place].task_id in running:
                    marks[place] = Mark.RUNNING
        errors = sorted(self._errors.values(), key=lambda group: -group.count)
        return Snapshot(
            title=self._title,
            marks=bytes(marks),
            indexes=self._indexes,
            elapsed_s=(now if self._left else self._changed) - self._started,
            rate=self._rate.at(now),
            quiet_s=now - self._changed,
            errors=tuple(errors),
            slowest=self._slowest and (self._slowest[1], self._slowest[0]),
            median_s=median(self._seconds) if self._seconds else 0.0,
            peak_bytes=self._peak_bytes,
        )

    def _count(self, now: float) -> None:
        """Mark those that have ended since the last look."""
        left: list[int] = []
        for place in self._left:
            state = self.states[place]
            if state.status is Status.PENDING:
                left.append(place)
                continue
            index = self._indexes[place]
            is_ok = state.status is Status.COMPLETED
            self._marks[place] = Mark.OK if is_ok else self._failed(state.error, index)
            if (seconds := seconds_of(state)) is not None:
                self._seconds.append(seconds)
                if self._slowest is None or seconds > self._slowest[0]:
                    self._slowest = seconds, index
            if state.item <= 0 and state.head is not None:  # once for all items of a result
                self._peak_bytes = max(self._peak_bytes, most_bytes(state.head))
        if len(left) < len(self._left):
            self._changed = now
            self._rate.seen(now, len(self.states) - len(left))
        self._left = left

    def _failed(self, error: BaseException | None, index: int) -> Mark:
        if error is None or issubclass(type(error), TaskCancelledError):
            return Mark.CANCELLED
        fault = summary(error)
        group = self._errors.get(fault.key)
        if group is None:
            self._errors[fault.key] = ErrorGroup(fault, 1, (index,))
        else:
            items = group.items + (index,) * (group.count < _EXAMPLES)
            self._errors[fault.key] = ErrorGroup(group.fault, group.count + 1, items)
        return Mark.FAILED
