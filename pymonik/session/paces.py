"""The pace of each function's calls, and how many workers a partition may have for them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from pymonik.session import events
from pymonik.session.pace import Pace
from pymonik.session.protocol import AUTO

if TYPE_CHECKING:
    from pymonik.session.asking import Asking
    from pymonik.session.protocol import Submission

_log = logging.getLogger(__name__)

_GUESSED_WORKERS = 2  # of a partition, until the control plane has said how many it may have


class Paces:
    """What was learnt from earlier calls of the same series serves the next ones.

    Args:
        asking: Makes the requests.
    """

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._paces: WeakKeyDictionary[object, Pace] = WeakKeyDictionary()
        self._workers: dict[str, int] = {}  # by partition
        self._asked: set[str] = set()  # partitions of which somebody is about to tell

    def of(self, submission: Submission) -> Pace:
        """What is known of the calls, from those of the same series."""
        pace = self._paces.get(submission.series)
        if pace is None:
            partition = submission.options.partition_id or ""
            size = None if submission.chunk_size == AUTO else submission.chunk_size
            pace = Pace(self._workers.get(partition, _GUESSED_WORKERS), size)
            self._paces[submission.series] = pace
            if partition not in self._workers and partition not in self._asked:
                self._asked.add(partition)
                self._asking.ask(events.CountWorkers(partition))
            pace.partition = partition
        return pace

    def counted(self, request: events.CountWorkers, event: events.Answered, _: float) -> None:
        """Somebody has said how many workers a partition may have."""
        self._asked.discard(request.partition)
        # The request may be forbidden; workers that run tasks are seen anyway.
        if event.error is not None:
            _log.debug("the workers of partition %r: %s", request.partition, event.error)
            return
        self._workers[request.partition] = event.value
        for pace in list(self._paces.values()):
            if pace.partition == request.partition:
                pace.may_run_on(event.value)
