"""What a display shows of some calls: a tally, what runs, and reasons when nothing happens."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from typing import TYPE_CHECKING, Final, Protocol, cast, runtime_checkable

from pymonik.errors import PymonikError, TaskCancelledError
from pymonik.runs.error_lines import summary
from pymonik.runs.looking import why
from pymonik.runs.reasons import Reason, Why
from pymonik.runs.rows import RUNNING, Lists
from pymonik.runs.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymonik.runs.tally import Snapshot
    from pymonik.session.result import ResultState

_log = logging.getLogger(__name__)

ASKED_EVERY_S: Final = 2.0  # seconds between two requests for what runs, one for each session
SILENT_S: Final = 30.0  # seconds without any end, before reasons are looked for
_MOST_FAULTS: Final = 5  # kinds of failures that `why` tells where nothing is left to wait for
_MOST_SESSIONS: Final = 3  # that the calls of one display belong to


@runtime_checkable
class Listed(Protocol):
    """A session whose control plane can be asked for lists."""

    @property
    def session_id(self) -> str:
        """The id of the session."""

    @property
    def lists(self) -> Lists:
        """The lists of its control plane."""


class Watch:
    """Looks at calls again and again. Thread-safe.

    Args:
        states: Of the calls.
        title: Function and label.
        started: When the first was submitted, in seconds since the epoch.
    """

    def __init__(self, states: Sequence[ResultState], title: str, started: float) -> None:
        self._states = states
        self._title = title
        self._tally = Tally(states, title, started)
        self._looking = threading.RLock()  # never held while somebody is asked
        self._running: frozenset[str] = frozenset()
        self._ask_at = 0.0
        self._why = ""
        self._why_at = 0.0

    def look(self, now: float) -> Snapshot:
        """What is known without asking anybody, and what was answered last."""
        with self._looking:
            snapshot = self._tally.look(now, self._running)
        return snapshot.with_reasons(self._why) if snapshot.quiet_s >= SILENT_S else snapshot

    def ask(self, now: float) -> None:
        """Ask the control plane, if it is time; takes as long as that takes to answer."""
        snapshot = self.look(now)
        if not snapshot.left or now < self._ask_at:
            return
        # Before the request, which may fail or take long: it is not repeated at once.
        self._ask_at = now + ASKED_EVERY_S
        try:
            self._running = running(self._states)
            if snapshot.quiet_s >= SILENT_S and now >= self._why_at:
                self._why_at = now + SILENT_S
                self._why = str(why_states(self._states, self._title))
        except PymonikError as error:  # a display goes on without what nobody tells it
            _log.debug("what runs could not be asked for: %s", error)
            self._running = frozenset()


def running(states: Sequence[ResultState]) -> frozenset[str]:
    """Ids of the tasks that workers have, as they were submitted, of the sessions of these calls.

    Raises:
        ControlPlaneError: It cannot be asked.
    """
    return frozenset(
        row.first_id
        for session in _sessions(states)
        for row in session.lists.tasks(session_id=session.session_id, statuses=sorted(RUNNING))
    )


def why_states(states: Sequence[ResultState], title: str) -> Why:
    """Why those of these calls have not ended that have not.

    Raises:
        ControlPlaneError: It cannot be asked.
    """
    pending = [state for state in states if not state.is_final]
    sessions = _sessions(pending)
    if not sessions:
        return _ended(states, title)
    parts = [_why_in(session, pending, len(states), title) for session in sessions]
    if len(parts) == 1:
        return parts[0]
    reasons: list[Reason] = [reason for part in parts for reason in part.reasons]
    reasons.sort(key=lambda reason: -reason.calls)
    return Why(f"{title}: {len(pending)} of {len(states)} not ended", reasons)


def _ended(states: Sequence[ResultState], title: str) -> Why:
    """Nothing is left to explain but failures."""
    errors = [one.error for one in states if one.error is not None]
    cancelled = sum(issubclass(type(error), TaskCancelledError) for error in errors)
    faults = Counter(
        str(summary(error)) for error in errors if not issubclass(type(error), TaskCancelledError)
    )
    reasons = [
        Reason(number, "failed", fault) for fault, number in faults.most_common(_MOST_FAULTS)
    ]
    if cancelled:
        reasons.append(Reason(cancelled, "cancelled", "by a program or a person"))
    return Why(f"{title}: all of {len(states)} ended", reasons)


def _why_in(session: Listed, pending: Sequence[ResultState], total: int, title: str) -> Why:
    ours = [state for state in pending if cast("object", state.session) is session]
    waiting = Counter(state.task_id for state in ours)
    unsent = waiting.pop("", 0)
    return why(
        session.lists,
        session.session_id,
        title=title,
        waiting=waiting,
        unsent=unsent,
        total=total,
    )


def _sessions(states: Sequence[ResultState]) -> list[Listed]:
    """The sessions of calls that have not ended, as far as they can be asked."""
    pending = {id(state.session): state.session for state in states if not state.is_final}
    listed: list[Listed] = [one for one in pending.values() if isinstance(one, Listed)]
    return listed[:_MOST_SESSIONS]
