"""Results that were read lately: items of one chunk are asked for one after the other."""

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


class OpenedResults:
    """Fetches results, and keeps those used last that hold several values. Thread-safe."""

    def __init__(self, data: DataStore) -> None:
        self._data = data
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, OpenedResult] = OrderedDict()
        self._nbytes = 0

    def get(self, ids: Sequence[str]) -> list[OpenedResult]:
        """Completed results, in order; an id may come more than once."""
        found = self._find(dict.fromkeys(ids))
        missing = [one for one in dict.fromkeys(ids) if one not in found]
        if not missing:
            return [found[one] for one in ids]
        for one, container in zip(missing, self._data.fetch(missing), strict=True):
            found[one] = OpenedResult(container)
        self._keep({one: found[one] for one in missing})
        return [found[one] for one in ids]

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
