"""A run as the page shows it: of handles that the program holds, or of tasks of a list.

Both say the same things: a `Snapshot`, rows of a table, what is known of one call. Of handles a
tile is a call; of tasks it is a task, which may hold several calls.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import lru_cache
from statistics import median
from typing import TYPE_CHECKING, Any, Final, Protocol

from pymonik.code.shown import shown_call
from pymonik.runs.error_lines import Fault, summary
from pymonik.runs.figures import measured, of_task, seconds_of
from pymonik.runs.summaries import outcome
from pymonik.runs.tally import ErrorGroup, Mark, Snapshot
from pymonik.runs.watch import Watch
from pymonik.session.again import past

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pymonik.runs.held import Held
    from pymonik.runs.partly_failed import PartlyFailed
    from pymonik.runs.rows import TaskRow
    from pymonik.session.result import ResultState

_EXAMPLES: Final = 5  # items of a group of errors that are named
_RECENT_S: Final = 30.0  # the rate is that of as many seconds, as `runs.tally` has it
_LONGEST_ARGUMENTS: Final = 120  # characters, in a line of the table of calls
_MARKS: Final = {
    "pending": Mark.PENDING,
    "retried": Mark.PENDING,
    "running": Mark.RUNNING,
    "ok": Mark.OK,
    "failed": Mark.FAILED,
    "cancelled": Mark.CANCELLED,
}


class RunView(Protocol):
    """One run.

    Attributes:
        key: Tells it from the others of the page, as long as that lasts.
        unit: What a tile is: ``call`` or ``task``.
        note: What people must know of the tiles; ``""`` where they are what one expects.
        may_rerun: Whether what failed of it can be run again from here.
    """

    key: str
    unit: str
    note: str
    may_rerun: bool
    function: str
    label: str
    session_id: str
    started: float

    def look(self, now: float) -> Snapshot:
        """How it is now."""

    def prepare(self, places: Iterable[int]) -> None:
        """Have at hand what the lines of these calls need."""

    def row(self, place: int) -> dict[str, Any]:
        """A call, in a line of a table."""

    def tasks(self) -> set[str]:
        """First ids of its tasks, as far as they were sent."""


class HeldRun:
    """Calls whose handles the program holds.

    Args:
        key: See `RunView`.
        states: Of the calls.
        title: Function and label.
        started: When the first was submitted, in seconds since the epoch.
        handles: Gives the handles, as long as the program has them.
    """

    unit = "call"
    note = ""
    may_rerun = True

    def __init__(
        self,
        key: str,
        states: Sequence[ResultState],
        title: str,
        started: float,
        handles: Callable[[], Held | None] = lambda: None,
    ) -> None:
        self.key = key
        self.handles = handles
        self.states = states
        self.started = started
        run = states[0].run if states else None
        self.function = run.name if run is not None else title
        self.label = run.label if run is not None else ""
        self.session_id = _session_id(states)
        self.found: Mapping[str, TaskRow] = {}  # its tasks by their first ids, where listed
        self._watch = Watch(states, title, started)
        # Tasks by which calls were run that were run again belong here too.
        self._tasks = {
            earlier.task_id
            for state in states
            if state.again is not None
            for earlier in past(state)
        }
        # Calls whose tasks may still change: a run of a million calls that ended is not gone
        # through again.
        self._unended = list(states)

    @property
    def first(self) -> str:
        """The result of its first call, which its record tells too; ``""`` before that is sent."""
        return past(self.states[0])[0].result_id or "" if self.states else ""

    def look(self, now: float) -> Snapshot:
        """How it is now; asks what runs, every two seconds at most."""
        self._watch.ask(now)
        snapshot = self._watch.look(now)
        ends = [row.ended for row in self.found.values() if row.ended is not None]
        if snapshot.left or not ends:
            return snapshot
        # A watch that first looked later does not know when the last call ended.
        return replace(snapshot, elapsed_s=max(ends) - self.started)

    def adopt(self, tasks: Iterable[str]) -> None:
        """Take tasks that no handle knows, and which run calls of it: parts of chunks."""
        self._tasks.update(tasks)

    def tasks(self) -> set[str]:
        """First ids of its tasks, as far as they were sent."""
        # A call that has not ended may yet leave with another task: parts of chunks are sent again.
        self._tasks |= {state.task_id for state in self._unended}
        self._unended = [state for state in self._unended if not state.is_final]
        self._tasks.discard("")
        return self._tasks

    def prepare(self, places: Iterable[int]) -> None:
        """Nothing: handles have it all."""

    def row(self, place: int) -> dict[str, Any]:
        """A call, in a line of a table."""
        state = self.states[place]
        seconds = seconds_of(state)
        known = measured(state.head, state.item) if state.head is not None else None
        if known is None and state.is_final and (row := self.found.get(state.task_id)):
            known = of_task(row)
            seconds = known.seconds
        return {
            "place": place,
            "index": place if state.index < 0 else state.index,
            "arguments": arguments_of(state),
            "seconds": seconds,
            "worker": known.worker if known is not None else "",
            "attempt": known.attempt if known is not None else None,
            "started": known.started if known is not None else None,
            "error": "" if state.error is None else str(summary(state.error)),
        }


class ListedRun:
    """Tasks of the control plane's list that have session, label and function in common.

    Args:
        key: See `RunView`.
        rows: Every attempt; the last one of a task is what is shown of it.
        partly: What is told of tasks that ended well although calls of theirs failed.
    """

    unit = "task"
    note = "which calls a task holds is known of runs in sessions with a name"
    may_rerun = False

    def __init__(
        self, key: str, rows: Iterable[TaskRow], partly: Mapping[str, PartlyFailed] | None = None
    ) -> None:
        self.key = key
        self._partly = partly or {}
        latest: dict[str, TaskRow] = {}
        every = sorted(rows, key=lambda row: (row.created or 0.0, row.attempt))
        for row in every:
            latest[row.first_id] = row  # which stays at the place of its first attempt
        self.rows = list(latest.values())
        first = self.rows[0]
        self.function = first.function or "tasks of others"
        self.label = first.run
        self.session_id = first.session_id
        self.started = next((row.created for row in every if row.created), 0.0)

    def look(self, now: float) -> Snapshot:
        """How it is, by these rows."""
        marks = bytes(_MARKS[self.outcome_of(row)] for row in self.rows)
        ends = [row.ended for row in self.rows if row.ended is not None]
        is_over = Mark.PENDING not in marks and Mark.RUNNING not in marks
        timed = [
            (row.ended - row.started, place)
            for place, row in enumerate(self.rows)
            if row.ended and row.started and row.status == "COMPLETED"
        ]
        slowest = max(timed, default=None)
        last = max(ends, default=self.started)
        return Snapshot(
            title=f"{self.function} · {self.label}" if self.label else self.function,
            marks=marks,
            indexes=range(len(marks)),
            elapsed_s=(last if is_over else now) - self.started,
            rate=sum(now - end < _RECENT_S for end in ends)
            / max(1.0, min(_RECENT_S, now - self.started)),
            quiet_s=now - last,
            errors=self._groups(),
            slowest=slowest and (slowest[1], slowest[0]),
            median_s=median(seconds for seconds, _ in timed) if timed else 0.0,
        )

    def tasks(self) -> set[str]:
        """First ids of its tasks."""
        return {row.first_id for row in self.rows}

    def prepare(self, places: Iterable[int]) -> None:
        """Nothing: rows have it all."""

    def row(self, place: int) -> dict[str, Any]:
        """A task, in a line of a table."""
        row = self.rows[place]
        end = row.ended if row.ended is not None else time.time()
        return {
            "place": place,
            "index": place,
            "arguments": f"task {row.task_id}",
            "seconds": None if row.started is None else max(0.0, end - row.started),
            "worker": row.worker,
            "attempt": row.attempt,
            "started": row.started,
            "error": str(self._fault(row) or ""),
        }

    def outcome_of(self, row: TaskRow) -> str:
        """What its status means, and how its calls ended."""
        return "failed" if row.task_id in self._partly else outcome(row.status)

    def _fault(self, row: TaskRow) -> Fault | None:
        if row.error:
            return fault_of(row.error)
        partly = self._partly.get(row.task_id)
        return None if partly is None else Fault(partly.kinds, partly.calls)

    def _groups(self) -> tuple[ErrorGroup, ...]:
        return grouped(
            (place, self._fault(row) or fault_of(""))
            for place, row in enumerate(self.rows)
            if self.outcome_of(row) == "failed"
        )


def grouped(faults: Iterable[tuple[int, Fault]]) -> tuple[ErrorGroup, ...]:
    """Failures that are alike, together; the largest group first.

    Args:
        faults: Each with the number of what failed, in the order of those.
    """
    groups: dict[str, tuple[Fault, list[int]]] = {}
    for number, fault in faults:
        groups.setdefault(fault.key, (fault, []))[1].append(number)
    found = [
        ErrorGroup(fault, len(items), tuple(items[:_EXAMPLES])) for fault, items in groups.values()
    ]
    return tuple(sorted(found, key=lambda group: -group.count))


def arguments_of(state: ResultState, longest: int = _LONGEST_ARGUMENTS) -> str:
    """What a call was called with, as text; ``""`` where that is not kept."""
    if state.call is None or state.run is None:
        return ""
    stream = state.call if isinstance(state.call, bytes) else state.call.blobs[0]
    return shown_call(stream, state.run.parameters, longest)


def _session_id(states: Sequence[ResultState]) -> str:
    return str(getattr(states[0].session, "session_id", "")) if states else ""


@lru_cache(maxsize=4_096)
def fault_of(error: str) -> Fault:
    """What the text of an error says first: of a traceback that is its last line."""
    lines = [line for line in error.strip().splitlines() if line and not line[0].isspace()]
    kind, _, text = (lines[-1] if lines else "").partition(": ")
    return Fault(kind, text)
