"""What calls print, on its way to whoever looks: entries of a log, in results of a certain name."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Protocol

from pymonik.executor import files
from pymonik.wire import containers
from pymonik.wire.live import LOG_PREFIX, LiveName, LogEntry, encode_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymonik.executor.frames import Run
    from pymonik.executor.output import Part
    from pymonik.wire.call import PayloadLabel

MOST_BYTES = 256 * 1024 * 1024  # of one run's log; what comes after is in its result only


class Way(Protocol):
    """A way out of a running task."""

    def __call__(self, run: Run, name: str, data: bytes) -> object:
        """Create a result with these data in the session of the run."""


class LiveLog:
    """Gives on what a pool's calls print. Any thread may call it.

    Args:
        way: Where to.
        most_bytes: Of one run.
    """

    def __init__(self, way: Way, most_bytes: int = MOST_BYTES) -> None:
        self._way = way
        self._most_bytes = most_bytes
        # One count for all runs of the pool: names need only differ and grow within a task.
        self._numbers = itertools.count(1)
        self._nbytes: dict[str, int] = {}  # by task, of those that have printed

    def __call__(self, run: Run, parts: Sequence[Part]) -> None:
        """A run has printed this."""
        written = self._nbytes.get(run.task_id, 0)
        if written > self._most_bytes:
            return
        data = encode_lines(entries(run, parts))
        if written + len(data) > self._most_bytes:
            data = encode_lines([LogEntry("", "[more was printed than a log has room for]\n")])
        if len(self._nbytes) >= _MOST_TASKS:
            self._nbytes.pop(next(iter(self._nbytes)), None)
        self._nbytes[run.task_id] = written + len(data)
        output = run.output_id or run.task_id
        name = LiveName(LOG_PREFIX, output, run.attempt, next(self._numbers))
        self._way(run, str(name), data)


# Tasks whose bytes are counted: nobody tells of the end of one, so the oldest is forgotten instead.
_MOST_TASKS = 1000


def entries(run: Run, parts: Sequence[Part]) -> list[LogEntry]:
    """What a run has printed, with the names of its calls."""
    label = label_of(run)
    name = label.function.name if label is not None else ""
    return [
        LogEntry(
            name,
            part.text,
            part.stream,
            part.place,
            label.index(part.place) if label is not None and part.place >= 0 else -1,
        )
        for part in parts
    ]


def label_of(run: Run) -> PayloadLabel | None:
    """How the calls of a run are called."""
    try:
        return containers.label_of(files.load(run.input(run.payload_id)))
    except (OSError, KeyError):
        return None
