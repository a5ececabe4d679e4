"""A run of another program as the page shows it, call by call: of its records and of results.

::

    records ──► numbers of calls, by result ──┐
    results, heads, tasks ── `ItemEnds` ──────┴──► marks, errors, seconds

Only what has changed since the last look is gone over, so a run of a hundred thousand calls costs a
look as little as a small one.
"""

from __future__ import annotations

from array import array
from collections import deque
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from pymonik.page.run_views import fault_of, grouped
from pymonik.runs.error_lines import Fault
from pymonik.runs.figures import Measured, column_of_seconds, measured, most_bytes, of_task
from pymonik.runs.rate import Rate
from pymonik.runs.reading import is_known
from pymonik.runs.rows import LIVE, TaskRow, first_id
from pymonik.runs.tally import ErrorGroup, Mark, Snapshot
from pymonik.wire.call import WHOLE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from pymonik.page.stored_arguments import StoredArguments
    from pymonik.runs.item_ends import ChunkHead, ItemEnds
    from pymonik.session.recorded import RecordedItem, RecordedRun
    from pymonik.wire.call import RunRecord, RunTask

    At = tuple[str, int]  # a result, and a place in it

_REMEMBERED: Final = 2_000  # durations of which the median is taken, as in `Tally`
_LONGEST_ARGUMENTS: Final = 120
_SILENT_S: Final = 30.0  # before calls that have not left are spoken of
_MARKS: Final = {
    "ok": Mark.OK,
    "failed": Mark.FAILED,
    "cancelled": Mark.CANCELLED,
    "pending": Mark.PENDING,
}
_UNTOLD: Final = Fault("failure", "")


class RecordedView:
    """Calls that records tell of; see `pymonik.page.run_views.RunView`.

    Args:
        run: The run; `add` fills it.
        ends: How calls have ended; of the whole cluster.
        arguments: What calls were called with.
    """

    unit = "call"
    note = ""
    may_rerun = False

    def __init__(self, run: RecordedRun, ends: ItemEnds, arguments: StoredArguments) -> None:
        self.run = run
        self.key = f"run-{run.run}"
        self.function = run.function.name
        self.label = "" if run.label == self.function else run.label
        self.session_id = run.session_id
        self.started = run.started
        self.chunks: set[str] = set()  # results that hold several calls
        self.rows: Mapping[str, TaskRow] = {}  # the last attempt at each task, by first id
        self._ends = ends
        self._arguments = arguments
        self._numbers: dict[str, list[int]] = {}  # of calls, by the results that hold them
        self._waiting: list[RunRecord] = []
        self._spans: dict[str, range] = {}  # the same of results whose calls follow each other
        self._unsettled: dict[str, None] = {}  # results that may have news
        self._fresh: dict[str, None] = {}  # those of them that were never looked at
        self._marks = bytearray()
        self._tasks: set[str] = set()
        self._running: frozenset[str] = frozenset()
        self._faults: dict[int, Fault] = {}
        # Failures whose texts nobody has read: by result and place, the numbers of the calls.
        self._untold: dict[str, dict[int, int]] = {}
        self._groups: tuple[ErrorGroup, ...] | None = ()
        self._seconds: deque[float] = deque(maxlen=_REMEMBERED)
        self._slowest: tuple[int, float] | None = None
        self._peak_bytes = 0
        self._rate: Rate | None = None
        self._changed: float | None = None  # when a look last saw something end
        self._last_end: float | None = None  # of its tasks
        self._missing: int | None = None  # calls that are in no task, once they were counted

    # -- learning ------------------------------------------------------------------------------

    def add(self, record: RunRecord) -> None:
        """One more record, which was written later than those before; `take_in` reads it."""
        self._waiting.append(record)
        self.started = min(self.started or record.started, record.started)

    def take_in(self) -> None:
        """Learn what the records say that have come: of runs that are held nobody needs it."""
        waiting, self._waiting = self._waiting, []
        for record in waiting:
            self._take_in(record)

    def _take_in(self, record: RunRecord) -> None:
        self.run.add(record)
        for task in record.tasks:
            numbers = [number for number in task.items if number >= 0]
            self._numbers.setdefault(task.output_id, []).extend(numbers)
            self._unsettled[task.output_id] = self._fresh[task.output_id] = None
            if task.chunked:
                self.chunks.add(task.output_id)
                self._note_span(task)
        most = max((max(task.items, default=-1) for task in record.tasks), default=-1)
        self.run.total = max(self.run.total, 1 + most)
        self._marks.extend(bytes(self.run.total - len(self._marks)))

    def _note_span(self, task: RunTask) -> None:
        span = range(task.items[0], task.items[0] + len(task.items)) if task.items else range(0)
        if task.items == tuple(span) and self._numbers[task.output_id] == list(span):
            self._spans[task.output_id] = span
        else:
            self._spans.pop(task.output_id, None)

    def holds(self, result_id: str) -> bool:
        """Whether calls of it have their values in this result."""
        waiting = (task.output_id for record in self._waiting for task in record.tasks)
        return result_id in self._numbers or result_id in waiting

    def unsettled(self) -> Iterable[str]:
        """The results that may have news."""
        return self._unsettled

    def learn(
        self, changed: Collection[str], rows: Mapping[str, TaskRow], running: frozenset[str]
    ) -> None:
        """Go over what has changed.

        Args:
            changed: Results, as `ItemEnds.look` tells them.
            rows: The last attempt at each task that is known, by its first id.
            running: First ids of the tasks that workers have.
        """
        self.rows = rows
        touched = [*self._fresh, *(one for one in changed if one in self._unsettled)]
        self._fresh = {}
        running &= self._tasks
        if turned := running ^ self._running:
            touched += [one for one in self._unsettled if self._owner(one) in turned]
        self._running = running
        for result_id in dict.fromkeys(touched):
            self._look_at(result_id)
        if touched or self._unsettled or self._last_end is None:
            # The row of a task may tell of its end a look later than its result does.
            ends = (row.ended for one in self._tasks if (row := rows.get(one)) is not None)
            self._last_end = max((end for end in ends if end is not None), default=None)

    def adopt(self, tasks: Iterable[str]) -> None:
        """Tasks that the records do not name, and which run calls of it: parts of chunks."""
        self._tasks.update(tasks)

    def untold(self) -> Mapping[str, Mapping[int, int]]:
        """The places of failures whose texts nobody has read, by result."""
        return self._untold

    def tell(self, told: Mapping[At, Fault]) -> None:
        """Texts of failures that were read."""
        for (result_id, place), fault in told.items():
            number = self._untold.get(result_id, {}).get(place)
            if number in self._faults:
                self._faults[number] = fault
        for result_id in {result_id for result_id, _ in told}:
            self._untold.pop(result_id, None)
        self._groups = None

    def _look_at(self, result_id: str) -> None:
        """Mark the calls of a result, and forget the result if all of them have ended."""
        self._missing = None
        head = self._ends.head(result_id)
        span = self._spans.get(result_id)
        if head is not None and not head.moved and span is not None and not self.run.earlier:
            self._look_at_span(result_id, span, head)
            return
        numbers = dict.fromkeys(self._numbers[result_id])
        for number in numbers:
            mark = self._mark(number)
            if mark != self._marks[number]:
                self._marks[number] = mark
                self._changed = None
        if any(self._marks[one] in (Mark.PENDING, Mark.RUNNING) for one in numbers):
            return
        row = self._ends.row(result_id)
        if row is not None and (result_id not in self.chunks or self._ends.is_read(result_id)):
            del self._unsettled[result_id]
            self._measure(result_id, numbers)

    def _look_at_span(self, result_id: str, span: range, head: ChunkHead) -> None:
        """The same for a chunk that has ended and kept all of its calls: in one go.

        A page that opens on a run of a hundred thousand calls goes over all of them.
        """
        marks = bytearray([Mark.OK]) * len(span)
        for place in head.failed:
            marks[place] = Mark.FAILED
            self._faults[span[place]] = self._fault(span[place], (result_id, place))
            self._groups = None
        self._marks[span.start : span.stop] = marks
        self._changed = None
        self._tasks.update(filter(None, [self._owner(result_id)]))
        self._peak_bytes = max(self._peak_bytes, most_bytes(head.meta))
        seconds = column_of_seconds(head.meta)
        for place in head.failed:
            seconds[place : place + 1] = array("f", [0.0])
        self._seconds.extend(took for took in seconds[-_REMEMBERED:] if took)
        if seconds and (most := max(seconds)) > (self._slowest[1] if self._slowest else 0.0):
            self._slowest = span[seconds.index(most)], most
        del self._unsettled[result_id]

    def _mark(self, number: int) -> Mark:
        item = self._now(number, self.run.items[number])
        place = self._ends.place_of(item.at)
        owner = self._owner(place[0])
        self._tasks.update(one for one in (self._owner(item.output_id), owner) if one)
        mark = _MARKS[self._ends.end_of(item.at)]
        if mark == Mark.FAILED:
            self._faults[number] = self._fault(number, place)
            self._groups = None
        elif self._faults.pop(number, None) is not None:
            self._groups = None
        return Mark.RUNNING if mark == Mark.PENDING and owner in self._running else mark

    def _now(self, number: int, item: RecordedItem) -> RecordedItem:
        """The item as it left last: one that is recorded and never left is what it was before."""
        for one in (item, *reversed(self.run.earlier.get(number, ()))):
            row = self._ends.row(one.output_id)
            if row is not None and is_known(row):
                return one
        return item

    def _owner(self, result_id: str) -> str:
        """First id of the task that makes a result; ``""`` where no task does yet."""
        row = self._ends.row(result_id)
        if row is None or row.owner in ("", row.session_id):
            return ""
        return first_id(row.owner)

    def _fault(self, number: int, place: At) -> Fault:
        row = self._ends.row(place[0])
        if row is not None and row.status == "ABORTED":
            task = self.rows.get(first_id(row.owner))
            return _UNTOLD if task is None else fault_of(task.error)
        self._untold.setdefault(place[0], {})[max(place[1], 0)] = number
        return _UNTOLD

    def _measure(self, result_id: str, numbers: Iterable[int]) -> None:
        """Learn how long the calls of a result took that has ended."""
        if (head := self._ends.head(result_id)) is not None:
            self._peak_bytes = max(self._peak_bytes, most_bytes(head.meta))
        for number in numbers:
            if self._marks[number] != Mark.OK or (took := self._measured(number).seconds) is None:
                continue
            self._seconds.append(took)
            if self._slowest is None or took > self._slowest[1]:
                self._slowest = number, took

    def _measured(self, number: int) -> Measured:
        place = self.place(number)
        if place is None:
            return Measured()
        if (head := self._ends.head(place[0])) is not None:
            return measured(head.meta, max(place[1], 0))
        task = self.task(number)
        return of_task(task) if task is not None and place[1] == WHOLE else Measured()

    # -- what is shown -------------------------------------------------------------------------

    def look(self, now: float) -> Snapshot:
        """How it is, by what was learnt last."""
        marks = bytes(self._marks)
        left = marks.count(Mark.PENDING) + marks.count(Mark.RUNNING)
        if self._rate is None:
            self._rate = Rate(self.started)
        if self._changed is None:
            self._changed = now
            self._rate.seen(now, len(marks) - left)
        if self._groups is None:
            self._groups = grouped(sorted(self._faults.items()))
        last = self._changed if self._last_end is None else self._last_end
        return Snapshot(
            title=self.run.title,
            marks=marks,
            indexes=range(len(marks)),
            elapsed_s=(now if self._unsettled else last) - self.started,
            rate=self._rate.at(now),
            quiet_s=now - last,
            errors=self._groups,
            slowest=self._slowest,
            median_s=median(self._seconds) if self._seconds else 0.0,
            peak_bytes=self._peak_bytes,
            why=self._never_left(now - last) if left else "",
        )

    def _never_left(self, quiet_s: float) -> str:
        """What to say of calls that are in no task: their program may have ended without a word."""
        if quiet_s < _SILENT_S or any(
            self.rows[one].status in LIVE for one in self._tasks if one in self.rows
        ):
            return ""
        if self._missing is None:
            sent = sum(1 for number in self.run.items if self.place(number) is not None)
            self._missing = self.run.total - sent
        if not self._missing:
            return ""
        return (
            f"{self._missing} of {self.run.total} calls have not left the program that made the "
            "run; the same call with the same label sends them"
        )

    def prepare(self, places: Iterable[int]) -> None:
        """Have the arguments of these calls at hand."""
        self._arguments.read(self._source(place)[0] for place in places)

    def row(self, place: int) -> dict[str, Any]:
        """A call, in a line of a table."""
        known = self._measured(place)
        task = self.task(place)
        return {
            "place": place,
            "index": place,
            "arguments": self.arguments(place, _LONGEST_ARGUMENTS),
            "seconds": known.seconds,
            "worker": known.worker or (task.worker if task is not None else ""),
            "attempt": known.attempt or (task.attempt if task is not None else None),
            "started": known.started,
            "error": str(self._faults.get(place, "")),
        }

    def arguments(self, place: int, longest: int) -> str:
        """What a call was called with, if that was read."""
        task, number = self._source(place)
        return self._arguments.of_call(task, number, self.run.parameters, longest)

    def _source(self, number: int) -> tuple[str, int]:
        """The task whose payload has the arguments of a call, and its place in that."""
        item = self.run.items.get(number)
        if item is None:
            return "", 0
        now = self._now(number, item)
        return self._owner(now.output_id), max(now.place, 0)

    def place(self, number: int) -> At | None:
        """Where the value of a call is, or will be; ``None`` if the call is in no task."""
        item = self.run.items.get(number)
        if item is None:
            return None
        now = self._now(number, item)
        row = self._ends.row(now.output_id)
        return self._ends.place_of(now.at) if row is not None and is_known(row) else None

    def task(self, number: int) -> TaskRow | None:
        """The last attempt at the task of a call, where the lists have it."""
        place = self.place(number)
        return self.rows.get(self._owner(place[0])) if place is not None else None

    def mark(self, number: int) -> Mark:
        """How far a call is."""
        return Mark(self._marks[number])

    def tasks(self) -> set[str]:
        """First ids of its tasks."""
        return self._tasks
