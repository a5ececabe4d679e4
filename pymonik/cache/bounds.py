"""`Bounds`: how much a cluster keeps of earlier calls, and for how long."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from pymonik.errors import ControlPlaneError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymonik.cache.entries import Entries, Entry

_log = logging.getLogger(__name__)

MOST_BYTES: Final = 10 * 1024**3  # of values, all together
MOST_AGE_S: Final = 30 * 86_400.0  # seconds (30 days) after which a value is deleted
MOST_KEPT: Final = 50_000  # entries: as many names must be listed
# Entries after which the bounds are looked at again: a look lists all names and asks for all sizes,
# and too much for a short time harms nobody.
_WRITTEN: Final = 2_000


class Limits(NamedTuple):
    """What is kept.

    Attributes:
        nbytes: Of values, all together.
        age_s: Seconds after which a value is deleted.
        entries: How many values.
    """

    nbytes: int = MOST_BYTES
    age_s: float = MOST_AGE_S
    entries: int = MOST_KEPT


class Bounds:
    """Deletes the oldest values where there are too many; looks as values are written.

    Args:
        entries: Of the session.
    """

    def __init__(self, entries: Entries) -> None:
        self._entries = entries
        self._written = _WRITTEN  # so that the first value written has them looked at
        # Held during a look: a thread that writes meanwhile goes on without a look of its own.
        self._looking = threading.Lock()

    def written(self, number: int) -> None:
        """So many entries were written. Called by the thread that writes them."""
        self._written += number
        if self._written >= _WRITTEN and not self._looking.locked():
            self.check()

    def check(self) -> None:
        """Delete what there is too much; returns when it is gone."""
        with self._looking:
            self._written = 0
            try:
                self._entries.forget(self._surplus())
            except ControlPlaneError as error:
                _log.debug("old values stay: %s", error)

    def _surplus(self) -> list[Entry]:
        there = self._entries.all()
        sizes = self._entries.sizes(there)
        return surplus(there, sizes, self._entries.limits, time.time())


def surplus(
    entries: Sequence[Entry], sizes: dict[str, int], limits: Limits, now: float
) -> list[Entry]:
    """The entries to delete, the oldest first.

    Args:
        entries: The oldest first.
        sizes: Of the results in which values stand, in bytes; others are gone.
        limits: What is kept.
        now: In seconds since the epoch.
    """
    kept_bytes = 0
    kept: set[str] = set()  # results
    gone: list[Entry] = []
    for number, entry in enumerate(reversed(entries)):
        result_id = entry.place.result_id
        # Values of one chunk stand in one result, whose bytes count once; it goes with the last of
        # them.
        size = 0 if result_id in kept else sizes.get(result_id, 0)
        is_old = now - entry.created > limits.age_s
        is_there = result_id in sizes
        if is_old or not is_there or number >= limits.entries or kept_bytes + size > limits.nbytes:
            gone.append(entry)
            continue
        kept_bytes += size
        kept.add(result_id)
    # Collected from the newest to the oldest, since the newest are kept.
    gone.reverse()
    return gone
