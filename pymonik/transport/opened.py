"""Results to read values from, and those of several values that were read lately.

Items of one chunk are asked for one after the other.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from pymonik.code.codec import OpenedResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymonik.session.result import ResultState
    from pymonik.transport.data import DataStore

_MOST_RESULTS = 32  # each has thousands of small objects, of which its bytes tell nothing
_MOST_BYTES = 64 * 1024 * 1024


class OpenedResults:
    """Fetches results, and keeps those used last that hold several values. Thread-safe."""

    def __init__(self, data: DataStore) -> None:
        self._data = data
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, OpenedResult] = OrderedDict()
        self._nbytes = 0

    def get(self, states: Sequence[ResultState]) -> list[OpenedResult]:
        """The results of completed states, in order; one may come more than once.

        Values do not share memory, except those of one chunk, which gives each of them anew.
        """
        ids = [state.result_id or "" for state in states]
        found = self._find(ids)
        new = {
            one: OpenedResult(bytearray(news))
            for one, state in zip(ids, states, strict=True)
            if one not in found and (news := state.news) is not None
        }
        missing = [one for one in dict.fromkeys(ids) if one not in found and one not in new]
        if missing:
            new.update(zip(missing, map(OpenedResult, self._data.fetch(missing)), strict=True))
        self._keep(new)
        found.update(new)
        results = [found[one] for one in ids]
        if len(found) < len(ids):
            results = self._apart(ids, results)
        for state in states:
            state.news = None  # who reads it again fetches it
        return results

    def _apart(self, ids: Sequence[str], results: list[OpenedResult]) -> list[OpenedResult]:
        """The same, but a single value that comes again is read again: arrays can be changed."""
        first = {one: index for index, one in reversed(list(enumerate(ids)))}
        again = [
            index
            for index, one in enumerate(ids)
            if index != first[one] and not results[index].meta.chunked
        ]
        if again:
            fetched = self._data.fetch([ids[index] for index in again])
            for index, container in zip(again, fetched, strict=True):
                results[index] = OpenedResult(container)
        return results

    def _find(self, ids: Sequence[str]) -> dict[str, OpenedResult]:
        with self._lock:
            found = {one: self._kept[one] for one in ids if one in self._kept}
            for one in found:
                self._kept.move_to_end(one)
        return found

    def _keep(self, opened: dict[str, OpenedResult]) -> None:
        with self._lock:
            for one, result in opened.items():
                if result.meta.chunked and result.nbytes <= _MOST_BYTES and one not in self._kept:
                    self._kept[one] = result
                    self._nbytes += result.nbytes
            while self._nbytes > _MOST_BYTES or len(self._kept) > _MOST_RESULTS:
                _, oldest = self._kept.popitem(last=False)
                self._nbytes -= oldest.nbytes
