"""`CancelReport`: what a session had done when it was cancelled."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

from pymonik.errors import PymonikError
from pymonik.runs.summaries import counts

if TYPE_CHECKING:
    from pymonik.runs.watch import Listed

_log = logging.getLogger(__name__)


class CancelReport(NamedTuple):
    """Tasks of a session that was cancelled; calls that share a task count once.

    Attributes:
        finished: Had ended well.
        failed: Had failed, or ran out of time.
        cancelled: All others, whether they ran, waited, or had not been sent.
    """

    finished: int = 0
    failed: int = 0
    cancelled: int = 0

    @classmethod
    def of_session(cls, session: Listed) -> CancelReport:
        """Ask the control plane; where nobody answers, all are 0."""
        try:
            found = counts(session.lists.count_tasks(session.session_id))
        except PymonikError as error:
            _log.debug("tasks could not be counted: %s", error)
            return cls()
        # ArmoniK never ends what waited for an input: such a task stays CANCELLING.
        # What a worker has is counted as cancelled, too: it is being stopped while this is asked.
        left = sum(found.get(name, 0) for name in ("cancelled", "running", "pending"))
        return cls(found.get("ok", 0), found.get("failed", 0), left)
