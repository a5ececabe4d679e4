"""Tasks that ended well although some of their calls failed: told by names of results.

See `pymonik.executor.failed_calls` for who makes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pymonik.wire.call import FAILED_PREFIX

if TYPE_CHECKING:
    from pymonik.runs.rows import Lists

_MOST_TASKS: Final = 20_000  # names that are listed; of more, the oldest are not told


class PartlyFailed(NamedTuple):
    """What is told of the calls of a task.

    Attributes:
        failed: How many failed.
        calls: For people: ``2 of 50 calls``.
        kinds: The classes of the exceptions.
    """

    failed: int
    calls: str
    kinds: str

    def __str__(self) -> str:
        return f"{self.calls}: {self.kinds}"


def partly_failed(lists: Lists, session_id: str = "") -> dict[str, PartlyFailed]:
    """What is told of tasks some calls of which failed, of a session or of all, by task id."""
    rows = lists.results_named(FAILED_PREFIX, _MOST_TASKS, session_id=session_id)
    told = {row.created_by: _read(row.name.removeprefix(FAILED_PREFIX)) for row in rows}
    return {task_id: one for task_id, one in told.items() if one is not None}


def _read(name: str) -> PartlyFailed | None:
    """``2 of 50 calls: simulate · mesh-study: ValueError``; anybody may name a result so."""
    number, _, _ = name.partition(" ")
    calls, _, rest = name.partition(": ")
    kinds = rest.rpartition(": ")[2]
    return PartlyFailed(int(number), calls, kinds) if number.isdecimal() else None
