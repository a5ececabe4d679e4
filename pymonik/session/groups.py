"""Single calls of a function whose calls are to run together: they wait a moment for each other.

::

    invoke ──► gathered ──► one task for all ──► `Outgoing`
                 └── somebody waits, there are enough, or 3 ms have passed

A map has its calls at hand and needs none of this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymonik.code.codec import Packed
    from pymonik.session.protocol import Submission
    from pymonik.session.result import ResultState


class Group:
    """Calls that are to be one task, in the order in which they were made.

    Attributes:
        submission: The first one; the others are the same but for their arguments.
        since: When it came.
    """

    __slots__ = ("calls", "since", "states", "submission")

    def __init__(self, submission: Submission, since: float) -> None:
        self.submission = submission
        self.since = since
        self.calls: list[Packed] = []
        self.states: list[ResultState] = []

    def takes(self, submission: Submission) -> bool:
        """Whether a call may run in the same task."""
        own = self.submission
        return (
            len(self.calls) < own.chunk_size
            and submission.function.content_id == own.function.content_id
            and submission.code is own.code
            and submission.options == own.options
        )


class Gathering:
    """The groups that have not left, by what submits their calls."""

    def __init__(self) -> None:
        # By the address of the series, which no other object gets as long as the group refers to
        # it.
        self._groups: dict[int, Group] = {}
        self._full: list[Group] = []  # groups that another call did not fit into: they leave next

    def __bool__(self) -> bool:
        return bool(self._groups or self._full)

    def add(self, submission: Submission, states: list[ResultState], now: float) -> None:
        """A single call came."""
        key = id(submission.series)
        group = self._groups.get(key)
        if group is not None and not group.takes(submission):
            self._full.append(group)
            group = None
        if group is None:
            group = self._groups[key] = Group(submission, now)
        group.calls += submission.calls
        group.states += states

    def take(self, before: float | None = None) -> list[Group]:
        """The groups that leave now: full ones, and those that began ``before``, or all."""
        taken, self._full = self._full, []
        for key, group in list(self._groups.items()):
            if before is None or group.since <= before:
                taken.append(self._groups.pop(key))
        return taken

    def since(self) -> float | None:
        """When the oldest group began."""
        return min((one.since for one in self._groups.values()), default=None)

    def states(self) -> Iterator[ResultState]:
        """The states of the calls that have not left."""
        return (state for one in [*self._full, *self._groups.values()] for state in one.states)
