"""The calls of `map_invoke` on their way to the waiting tasks: together in tasks, some at a time.

::

    calls ──► the first ones, each alone ──► waiting tasks     seconds that executors recorded
                                                │◄───────────────────────────┐
    calls ──► as many as fit into half a second─┘        a task has ended

Some tasks for each worker are under way, the rest waits here until the results tell how long calls
take (see `Pace`).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from pymonik.session.result import ResultState, Status
from pymonik.session.tasks import OutgoingTask
from pymonik.wire.call import MOST_CALLS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pymonik.code.codec import Packed
    from pymonik.session.pace import Pace
    from pymonik.session.protocol import Submission

_MOST_BYTES = 4 * 1024 * 1024  # of the arguments of all calls in one task
_CALLS_TOGETHER = 2 * MOST_CALLS  # of one turn: workers begin with these while the next are packed
# Tasks that the calls become, about, where all must leave at once and no call has told how long it
# takes.
_GUESSED_TASKS = 1000


class Series:
    """The calls of one `map_invoke` that have not left, and its tasks under way.

    Attributes:
        pace: Decides about sizes and numbers; other submissions of the same function share it.
        under_way: Tasks that have left and not ended.
    """

    def __init__(
        self, submission: Submission, states: Sequence[ResultState], pace: Pace, now: float
    ) -> None:
        self._function = submission.function
        self._options = submission.options
        self._code = submission.code
        self._calls = deque(submission.calls)
        self._states = deque(states)  # of the calls
        self._first_at = now
        self._is_urgent = False
        self._guess = 1
        self.pace = pace
        self.under_way = 0

    @property
    def has_calls(self) -> bool:
        """Whether some have not left."""
        return bool(self._calls)

    def hurry(self) -> None:
        """Have all tasks leave now, on a guess if nothing is known."""
        if not self._is_urgent:
            self._is_urgent = True
            self._guess = 1 + len(self._calls) // _GUESSED_TASKS

    def next_look_at(self, now: float) -> float | None:
        """When there may be room for a task though nothing happened."""
        if not self._calls:
            return None
        seconds = self.pace.next_look_s(now - self._first_at)
        return None if seconds is None else now + seconds

    def take_tasks(self, now: float, is_behind: Callable[[Packed], bool]) -> list[OutgoingTask]:
        """The tasks that may leave now.

        Args:
            now: The instant.
            is_behind: Whether a call needs what has not left yet.
        """
        tasks: list[OutgoingTask] = []
        number = 0
        while (
            self._calls
            and number < _CALLS_TOGETHER
            and self._has_room(now)
            and not is_behind(self._calls[0])
        ):
            calls, states = self._take(self._next_size())
            number += len(calls)
            if calls:
                tasks.append(self._task(calls, states))
        return tasks

    def states(self) -> Iterator[ResultState]:
        """The states of the calls that have not left."""
        return iter(self._states)

    def give_up(self) -> list[ResultState]:
        """Send nothing more; the states of what was left."""
        left = list(self._states)
        self._calls.clear()
        self._states.clear()
        return left

    def _has_room(self, now: float) -> bool:
        return self._is_urgent or self.under_way < self.pace.window(now - self._first_at)

    def _next_size(self) -> int:
        left = len(self._calls)
        if self._is_urgent and not self.pace.is_known:
            return min(self._guess, left, MOST_CALLS)
        return self.pace.size(left)

    def _task(self, calls: Sequence[Packed], states: list[ResultState]) -> OutgoingTask:
        self.under_way += 1
        task = OutgoingTask(self._function, calls, self._options, states, self, self._code)
        task.wants_seconds = not task.chunked and not self.pace.is_known
        return task

    def _take(self, size: int) -> tuple[list[Packed], list[ResultState]]:
        """The next calls that can share a task: they wait for the same, and fail with the same.

        Calls that were cancelled meanwhile are left out.
        """
        calls: list[Packed] = []
        states: list[ResultState] = []
        nbytes = 0
        while self._calls and len(calls) < size:
            call = self._calls[0]
            nbytes += call.nbytes
            if calls and (nbytes > _MOST_BYTES or not _go_together(calls[0], call)):
                break
            self._calls.popleft()
            state = self._states.popleft()
            if state.status is Status.PENDING:
                calls.append(call)
                states.append(state)
        return calls, states


def _go_together(one: Packed, other: Packed) -> bool:
    return not (one.refs or other.refs) or _needed(one) == _needed(other)


def _needed(call: Packed) -> set[int]:
    """The results that a call has to wait for."""
    states = (ref._state for ref in call.refs)
    pending = [one for one in states if one.status is not Status.COMPLETED]
    return {id(one.awaited or one) for one in pending}
