"""A run of several calls, as the parent sees it: what to do with those that the executor does not.

::

    calls:   0 1 2 3 4 5 | 6 | 7 8 9 ...
             finished    │   └ not begun ──► tasks of their own: when the run takes too long,
                         │                   or when the executor died
                         └ running when it died ──► a task of its own with the attempts left, or
                                                    a failure in its place

Nothing is unpickled here: payloads are taken apart and put together again.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

import msgspec

from pymonik.executor import failed_calls, files
from pymonik.executor.claims import Finished
from pymonik.executor.endings import Ending, Failed, Lost, TimedOut, margin_s
from pymonik.executor.frames import Created, Report, Subtask
from pymonik.executor.kept_calls import kept_calls
from pymonik.executor.measures import with_printed
from pymonik.wire import containers
from pymonik.wire.call import NEW, FunctionRef, ItemMeta, ResultMeta, ResultRef, result_ids
from pymonik.wire.failure import decode, encode

if TYPE_CHECKING:
    from pymonik.executor.frames import Run
    from pymonik.wire.call import PayloadMeta
    from pymonik.wire.containers import Buffer
    from pymonik.wire.failure import Failure
    from pymonik.wire.streams import Piece

logger = logging.getLogger(__name__)

# Stand-ins that the parent makes begin with this, so that they never equal one of the executor,
# whose begin with a number: both may be in one report.
_PREFIX = "again-"

# Seconds that a chunk runs before the calls that it has not begun become tasks of their own, which
# other executors can run at the same time.
LATE_S = 0.6

HandOver = Callable[[Report], Sequence[str]]
"""Submits the subtasks of a report while the task runs; gives the ids of their outputs."""


class Chunk:
    """The calls of one run.

    Args:
        run: The run.
        meta: The head of its payload.
        blobs: Those of the payload.
        hand_over: Submits subtasks while the task runs; without it, all calls stay here.
    """

    def __init__(
        self, run: Run, meta: PayloadMeta, blobs: Sequence[Buffer], hand_over: HandOver | None
    ) -> None:
        self._run = run
        self._meta = meta
        self._blobs = blobs
        # Call `i` has the blobs from `_starts[i]` to `_starts[i + 1]`.
        self._starts = [0, *accumulate(call.blobs for call in meta.calls)]
        self._hand_over = hand_over
        self._elsewhere: list[ResultRef] = []  # of the last calls

    @property
    def size(self) -> int:
        """How many calls it has."""
        return len(self._meta.calls)

    @property
    def kept(self) -> int:
        """How many it has left after `hand_over`, the first ones."""
        return len(self._meta.calls) - len(self._elsewhere)

    @property
    def _at_once(self) -> int:
        """How many of its calls run at the same time."""
        function = self._meta.function
        return function.concurrency if isinstance(function, FunctionRef) else 1

    def time_limit_s(self, task_limit_s: float | None) -> float | None:
        """When to stop it: in time to tell what was done, before others end the task."""
        if task_limit_s is None or self.size == 1:
            return task_limit_s
        return task_limit_s - margin_s(task_limit_s)

    def grace_s(self, task_limit_s: float | None, grace_s: float) -> float:
        """How long a call may take to end once its time is over; it is going to run again alone."""
        if task_limit_s is None or self.size == 1:
            return grace_s
        return min(grace_s, margin_s(task_limit_s) / 2)

    # -- while it runs -------------------------------------------------------------------------

    def hand_over(self, begun: int, finished: int) -> list[ResultRef] | None:
        """Submit the calls that were not begun; where their values will stand.

        ``None`` if nobody takes them now.

        Args:
            begun: How many were begun, the first ones.
            finished: How many have ended.
        """
        if self._hand_over is None:
            return None
        tasks = _Tasks(self._run)
        # As many together as were done, or run at the same time.
        self._add_tasks(tasks, begun, self.size, max(finished, self._at_once))
        try:
            outputs = self._hand_over(Report(created=tasks.created, subtasks=tasks.subtasks))
        # Submitting asks the agent or the cluster, which may refuse or be gone for the moment.
        except Exception as error:  # noqa: BLE001 - the executor goes on, only slower
            logger.warning("calls of task %s are not handed over: %s", self._run.task_id, error)
            return None
        ids = dict(zip(tasks.outputs, outputs, strict=True))
        self._elsewhere = [ResultRef(ids[ref.result_id], ref.item) for ref in tasks.places]
        return self._elsewhere

    # -- when its executor died ----------------------------------------------------------------

    def salvaged(
        self,
        ending: Ending,
        finished: Sequence[Finished],
        begun: int,
        printed: Sequence[Sequence[Piece]] = (),
    ) -> Ending:
        """A report with what the calls gave that had ended; the others become tasks.

        Args:
            ending: Why the executor is dead.
            finished: What the journal says of the first calls.
            begun: How many calls were begun; if none was, it ends as it did.
            printed: The last of what each of the finished calls has printed.
        """
        if not begun or not isinstance(ending, Lost | TimedOut | Failed):
            return ending
        tasks = _Tasks(self._run)
        values = dict(enumerate(finished))
        # One call is to blame, unless calls of the chunk run at the same time: then it may be any
        # of them.
        running = range(max(len(finished), begun - self._at_once), begun)
        if not self._may_run_again(ending):
            values.update((index, _failed(ending.failure)) for index in running)
        # A call with subtasks or files of its own is in the journal, but those are not (`is_all`):
        # it runs again.
        missing = [
            index for index in range(begun) if index not in values or not values[index].is_all
        ]
        for index in missing:
            values.pop(index, None)
            self._add_task(tasks, index, index + 1, attempts=int(index in running))
        self._add_tasks(tasks, begun, self.kept, len(finished))
        places = iter([*tasks.places, *self._elsewhere])
        items = [
            values[index].item if index in values else ItemMeta(0, ref=next(places))
            for index in range(self.size)
        ]
        blobs = [blob for _, value in sorted(values.items()) for blob in value.blobs]
        meta = ResultMeta(items=tuple(items), chunked=True)
        if any(printed):
            # What calls printed that run again is told by their own tasks, so their part is empty
            # here.
            parts = [*printed, *[()] * (self.size - len(printed))]
            meta, blobs = with_printed(
                meta, blobs, parts, [sum(len(data) for _, data in part) for part in parts]
            )
        output = b"".join(containers.join(meta, blobs))
        faults = _faults(values.values())
        if faults:
            tasks.created.append(failed_calls.told(self._meta, faults))
            tasks.created += kept_calls(self._run, self._meta, items, self._blobs_of)
        return Report(output=output, created=tasks.created, subtasks=tasks.subtasks, faults=faults)

    def _blobs_of(self, place: int) -> Sequence[Buffer]:
        return self._blobs[self._starts[place] : self._starts[place + 1]]

    def _may_run_again(self, ending: Lost | TimedOut | Failed) -> bool:
        """Whether the call that ran when the executor died is tried again."""
        # A process that died may have died of this call, so trying it again takes one of its
        # attempts.
        if isinstance(ending, Lost):
            return self._run.attempt <= self._run.max_retries
        return isinstance(ending, TimedOut) and self.size > 1  # alone it gets all of its time

    # -- tasks of their own --------------------------------------------------------------------

    def _add_tasks(self, tasks: _Tasks, start: int, stop: int, together: int) -> None:
        """Tasks for calls that were not begun, of as many as this run has done in its time.

        Each of them gives away calls in turn if it takes too long.
        """
        step = max(1, together)
        for first in range(start, stop, step):
            self._add_task(tasks, first, min(first + step, stop))

    def _add_task(self, tasks: _Tasks, start: int, stop: int, *, attempts: int = 0) -> None:
        # Chunked even if it is one call: then its failure is a value too, and never keeps the
        # calls of another chunk from being submitted that refer to it and to its neighbours.
        # Only a call that was running when the executor died has used an attempt; those that were
        # not begun have all of theirs.
        earlier = self._run.attempt if attempts else 0
        first, indexes = self._meta.numbers_of(start, stop)
        meta = msgspec.structs.replace(
            self._meta,
            calls=self._meta.calls[start:stop],
            earlier=self._meta.earlier + earlier,
            first=first,
            indexes=indexes,
            traces=self._meta.traces_of(range(start, stop)),
        )
        blobs = self._blobs[self._starts[start] : self._starts[stop]]
        tasks.add(meta, blobs, max(0, self._run.max_retries - earlier))


def _faults(values: Iterable[Finished]) -> dict[str, int]:
    """How many calls failed, by the class of the exception."""
    return Counter(decode(one.blobs[0]).raised[0].name for one in values if one.item.failed)


class _Tasks:
    """Subtasks of a run, with stand-ins for ids."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.created: list[Created] = []
        self.subtasks: list[Subtask] = []
        self.outputs: list[str] = []
        self.places: list[ResultRef] = []

    def add(self, meta: PayloadMeta, blobs: Sequence[Buffer], max_retries: int) -> None:
        """Add a task; its values get places."""
        number = len(self.outputs)
        output, payload = f"{NEW}{_PREFIX}{number}", f"{NEW}{_PREFIX}{number}-payload"
        name = meta.function.name
        self.created.append(Created(stand_in=output, name=name))
        data, path = files.store(self._run.folder, containers.join(meta, blobs))
        self.created.append(Created(stand_in=payload, name=f"{name} payload", data=data, path=path))
        self.subtasks.append(
            Subtask(
                payload=payload,
                output=output,
                dependencies=result_ids(meta),
                options=msgspec.structs.replace(self._run.options, max_retries=max_retries),
            )
        )
        self.outputs.append(output)
        self.places += [ResultRef(output, item) for item in range(len(meta.calls))]


def _failed(failure: Failure) -> Finished:
    """What stands for a call that is not tried again."""
    return Finished(ItemMeta(1, failed=True), (encode(failure),))
