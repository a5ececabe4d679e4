"""Results that were read lately, and data that came before they were asked for.

Items of one chunk are asked for one after the other, and a call alone as soon as it has ended.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from pymonik.core.codec import OpenedResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymonik.transport.data import DataStore

_MOST_RESULTS = 32  # each has thousands of small objects, of which its bytes tell nothing
_MOST_BYTES = 64 * 1024 * 1024
_MOST_LEARNT = 1 << 28  # bytes, of data that came before they were asked for
_LEARNT_BYTES = 256  # that keeping some takes besides


class OpenedResults:
    """Fetches results, and keeps those used last that hold several values. Thread-safe."""

    def __init__(self, data: DataStore) -> None:
        self._data = data
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, OpenedResult] = OrderedDict()
        self._nbytes = 0
        self._learnt: OrderedDict[str, bytes] = OrderedDict()
        self._learnt_bytes = 0

    def learn(self, result_id: str, data: bytes) -> None:
        """Keep the data of a result for who asks first; those of too many are forgotten."""
        with self._lock:
            self._forget(result_id)  # events come twice
            self._learnt[result_id] = data
            self._learnt_bytes += len(data) + _LEARNT_BYTES
            while self._learnt_bytes > _MOST_LEARNT:
                self._forget(next(iter(self._learnt)))

    def get(self, ids: Sequence[str]) -> list[OpenedResult]:
        """Completed results, in order; an id may come more than once.

        Values do not share memory, except those of one chunk, which gives each of them anew.
        """
        found = self._find(dict.fromkeys(ids))
        new = self._take_learnt([one for one in ids if one not in found])
        missing = [one for one in dict.fromkeys(ids) if one not in found and one not in new]
        if missing:
            new.update(zip(missing, map(OpenedResult, self._data.fetch(missing)), strict=True))
        self._keep(new)
        found.update(new)
        results = [found[one] for one in ids]
        return results if len(found) == len(ids) else self._apart(ids, results)

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

    def _take_learnt(self, ids: Sequence[str]) -> dict[str, OpenedResult]:
        with self._lock:
            learnt = {one: self._forget(one) for one in dict.fromkeys(ids)}
        return {one: OpenedResult(bytearray(data)) for one, data in learnt.items() if data}

    def _forget(self, result_id: str) -> bytes | None:
        """The data that were kept of a result, which are not any more; the lock is held."""
        data = self._learnt.pop(result_id, None)
        if data is not None:
            self._learnt_bytes -= len(data) + _LEARNT_BYTES
        return data

    def _find(self, ids: dict[str, None]) -> dict[str, OpenedResult]:
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
