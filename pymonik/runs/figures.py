"""What an executor measured of a call, read from the head of the result that holds its value."""

from __future__ import annotations

import contextlib
import struct
from array import array
from typing import TYPE_CHECKING, Final, NamedTuple

from pymonik.code.opened_result import OpenedResult
from pymonik.errors import PymonikError
from pymonik.session.result import Status, learn
from pymonik.wire.call import WHOLE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pymonik.runs.rows import TaskRow
    from pymonik.session.protocol import Session
    from pymonik.session.result import ResultState
    from pymonik.wire.call import ResultMeta

_TOGETHER: Final = 4_096  # results that are fetched together, and held in memory meanwhile
# Columns of figures, as executors write them: a number for each call of a task, packed.
_FLOAT: Final = struct.Struct("<f")
_WHOLE_NUMBER: Final = struct.Struct("<Q")


class Measured(NamedTuple):
    """What is known of one call; ``None`` where nothing was measured.

    Attributes:
        seconds: Wall clock.
        cpu_s: Seconds of the executor's process.
        peak_bytes: The most memory that the executor had meanwhile.
        attempt: Of the task, 1 for the first.
        worker: The machine or pod, and the process there.
        started: When the first call of its result began, in seconds since the epoch.
    """

    seconds: float | None = None
    cpu_s: float | None = None
    peak_bytes: int | None = None
    attempt: int | None = None
    worker: str = ""
    started: float | None = None


def measured(meta: ResultMeta, item: int) -> Measured:
    """What the head of a result says of one of its items.

    Args:
        meta: The head.
        item: The place of the item, or `WHOLE`.
    """
    place = 0 if item == WHOLE else item
    figures, origin = meta.figures, meta.origin
    seconds = _seconds_in(meta, place)
    cpu_s = peak = None
    if figures is not None:
        cpu_s = _at(figures.cpu_s, _FLOAT, place)
        peak = _at(figures.peak_bytes, _WHOLE_NUMBER, place)
    if origin is None:
        return Measured(seconds, cpu_s, None if peak is None else int(peak))
    return Measured(
        seconds,
        cpu_s,
        None if peak is None else int(peak),
        origin.attempt,
        f"{origin.host}:{origin.pid}",
        origin.started,
    )


def of_task(task: TaskRow | None) -> Measured:
    """What the control plane knows of a task whose result nobody has."""
    if task is None:
        return Measured()
    ran = task.ended - task.started if task.ended and task.started else None
    return Measured(ran, None, None, task.attempt, task.worker, task.started)


def read_heads(states: Iterable[ResultState]) -> None:
    """Learn what was measured of those that have completed; asks for the results as values do."""
    groups: dict[Session, list[ResultState]] = {}
    for state in states:
        if state.head is None and state.status is Status.COMPLETED:
            groups.setdefault(state.session, []).append(state)
    for session, group in groups.items():
        for start in range(0, len(group), _TOGETHER):
            part = group[start : start + _TOGETHER]
            learn(part, session.fetch(part))


def seconds_of(state: ResultState) -> float | None:
    """How long a call took, where that is known without asking for its result."""
    if state.head is None and isinstance(news := state.news, bytes):
        with contextlib.suppress(PymonikError):  # whoever reads the value gets to know
            state.head = OpenedResult(news).meta.without_items()
    if state.head is None:
        return None
    # Of a hundred thousand calls a view asks nothing but this when it opens.
    return _seconds_in(state.head, 0 if state.item == WHOLE else state.item)


def most_bytes(meta: ResultMeta) -> int:
    """The most memory that the executor had while it made a result; 0 where nobody measured it."""
    if meta.figures is None:
        return 0
    return max(array("Q", meta.figures.peak_bytes), default=0)


def column_of_seconds(meta: ResultMeta) -> array[float]:
    """How long each of the calls of a result took; empty where nobody measured it."""
    found = array("f")
    if meta.figures is not None:
        found.frombytes(meta.figures.seconds)
    return found


def _seconds_in(meta: ResultMeta, place: int) -> float | None:
    seconds = None if meta.figures is None else _at(meta.figures.seconds, _FLOAT, place)
    # The seconds of a whole result say nothing of one call among several.
    if seconds is None and not meta.chunked:
        seconds = meta.seconds or None
    return seconds


def _at(column: bytes, kind: struct.Struct, place: int) -> float | None:
    offset = place * kind.size
    # A head of another version may have shorter columns, or none.
    if offset + kind.size > len(column):
        return None
    value: float = kind.unpack_from(column, offset)[0]
    return value
