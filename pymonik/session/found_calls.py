"""Tells of calls that were found in a session: nothing is sent for them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from weakref import WeakSet

from pymonik.session.labels import title
from pymonik.session.run import SingleCalls

if TYPE_CHECKING:
    from pymonik.session.protocol import Submission
    from pymonik.session.run import Run

_log = logging.getLogger("pymonik")
_told: WeakSet[Run] = WeakSet()  # of single calls: each function's are told of once


def tell_found(submission: Submission, number: int) -> None:
    """Say how many of the calls are there already."""
    run = submission.run
    name = submission.function.name
    if run is None or not isinstance(run, SingleCalls):
        left = len(submission.calls) - number
        what = title(name, submission.options.label or "")
        more = f"; {left} that never left are sent now" if left else ""
        _log.warning("already there: %s, %d items%s", what, number, more)
    elif run not in _told:
        _told.add(run)
        _log.warning("already there: calls of %s", name)
