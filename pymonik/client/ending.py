"""What happens to a session that its client closes, cancels, or stops waiting for."""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING

from pymonik.errors import UnavailableError
from pymonik.runs import log_lines
from pymonik.wording import count

if TYPE_CHECKING:
    from pymonik.session.remote import RemoteSession

_log = logging.getLogger("pymonik.client")
_SECOND_S = 2.0  # seconds after Ctrl-C, in which another one waits for nothing at all


def end(session: RemoteSession, *, wait: bool, interrupted_at: float = -math.inf) -> None:
    """Close a session; what has not ended is waited for, or will not run.

    Args:
        session: Which others may be able to find.
        wait: For everything that was submitted.
        interrupted_at: When Ctrl-C has ended the block of the client.
    """
    try:
        if wait:
            # First: a monitor would go on, and be waited for, for ever.
            if session.monitors:
                from pymonik.tasks.monitors import stop_all

                stop_all(session)
            session.wait_for_all()
            if session.is_recorded:
                from pymonik.kept.joining import wait_for_others  # loaded when it was joined

                wait_for_others(session.lists, session.session_id)
    except BaseException as error:
        if session.is_recorded and isinstance(error, KeyboardInterrupt):
            _stop_waiting(session, interrupted_at)
        else:
            session.cancel_all()
        raise
    try:
        session.close()
        log_lines.closed(session.lists, session.session_id)
    except UnavailableError as error:
        # Everything has ended by now: that nobody is there to close the session costs nothing.
        _log.warning("the session was not closed: %s", error)


def _stop_waiting(session: RemoteSession, interrupted_at: float) -> None:
    """Ctrl-C while a session is finished that others can find: it goes on.

    The first one has what is left sent, a second one soon after it nothing at all.
    """
    if time.monotonic() - interrupted_at > _SECOND_S:
        try:
            session.leave()
        except KeyboardInterrupt:
            pass
        else:
            return
    leave_at_once(session)


def leave_at_once(session: RemoteSession) -> None:
    """Let a session go on without what has not been sent, and tell how much that is."""
    unsent = session.leave_at_once()
    if unsent:
        _log.warning(
            "left at once: %s may never have left this program; the same call with the same "
            "label, in the same session, sends what did not",
            count(unsent, "item"),
        )
