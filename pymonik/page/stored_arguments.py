"""What calls of other programs were called with, as texts: read from payloads, many at a time.

Nothing is unpickled: see `pymonik.code.shown`.
"""

from __future__ import annotations

import contextlib
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from pymonik.code.shown import shown_call
from pymonik.errors import PymonikError
from pymonik.runs.reading import side_by_side
from pymonik.wire import containers
from pymonik.wire.call import FunctionRef, PayloadMeta

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pymonik.runs.rows import Lists

LARGEST_READ: Final = 1_000_000  # bytes of a payload: larger ones would keep the page waiting
_MOST_KEPT: Final = 32_000_000  # bytes of payloads; the oldest ones are read again when asked for
_MOST_AT_ONCE: Final = 100  # tasks of one answer


class StoredArguments:
    """Arguments by task. Not thread-safe.

    Args:
        lists: Of the control plane.
    """

    def __init__(self, lists: Lists) -> None:
        self._lists = lists
        self._pickles: dict[str, list[bytes]] = {}  # by the first id of the task, the oldest first
        self._kept = 0  # bytes

    def read(self, tasks: Iterable[str]) -> None:
        """Have those of these tasks, by their first ids, at hand."""
        missing = [one for one in dict.fromkeys(tasks) if one and one not in self._pickles]
        missing = missing[:_MOST_AT_ONCE]
        if not missing:
            return
        with contextlib.suppress(PymonikError):  # a table without arguments is of use, too
            payloads = {
                row.first_id: row.payload
                for row in self._lists.tasks(
                    first_ids=missing, limit=10 * len(missing), details=True
                )
            }
            rows = self._lists.results([one for one in payloads.values() if one])
            there = {
                first: rows[payload]
                for first, payload in payloads.items()
                if payload in rows
                and rows[payload].status == "COMPLETED"
                and rows[payload].size <= LARGEST_READ
            }
            datas = side_by_side(self._lists, list(there.values()))
            for first, data in zip(there, datas, strict=True):
                self._keep(first, [] if data is None else first_blobs(data))
        for first in missing:  # whose payloads are gone: they are not looked for at each answer
            self._pickles.setdefault(first, [])

    def of_call(self, task: str, place: int, names: Sequence[str], longest: int) -> str:
        """``mesh=17``; ``""`` where it was not read, or is not there.

        Args:
            task: First id of the task.
            place: Of the call in it.
            names: Of the parameters.
            longest: Characters.
        """
        pickles = self._pickles.get(task, [])
        return shown_call(pickles[place], names, longest) if place < len(pickles) else ""

    def _keep(self, first: str, pickles: list[bytes]) -> None:
        self._pickles[first] = pickles
        self._kept += sum(map(len, pickles))
        while self._kept > _MOST_KEPT and len(self._pickles) > 1:
            oldest = next(iter(self._pickles))
            self._kept -= sum(map(len, self._pickles.pop(oldest)))


def first_blobs(data: bytes) -> list[bytes]:
    """The pickle of each call of a payload; nothing of what is no payload, or calls no function."""
    try:
        meta, blobs = containers.split(data)
    except PymonikError:
        return []
    if not isinstance(meta, PayloadMeta) or not isinstance(meta.function, FunctionRef):
        return []
    firsts = accumulate((call.blobs for call in meta.calls), initial=0)
    return [bytes(blobs[first]) for _, first in zip(meta.calls, firsts, strict=False)]
