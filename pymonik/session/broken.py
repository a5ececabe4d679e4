"""When the machine of a session has broken: everybody is told, without its tables.

An exception may have left these half changed: a call that was taken out of one and not put into the
next is in none. So what is pending is found among the objects of the interpreter.
"""

from __future__ import annotations

import gc
import logging
from typing import TYPE_CHECKING, Any

from pymonik.session import events
from pymonik.session.result import ResultState, Status

if TYPE_CHECKING:
    from collections.abc import Iterable

_log = logging.getLogger(__name__)


def fail_pending(session: object, error: BaseException) -> None:
    """Fail each pending call of a session, in whatever table it is, or in none."""
    # Slow, as it walks over all objects of the interpreter, and run once in the life of a session.
    found = [one for one in gc.get_objects() if isinstance(one, ResultState)]
    fail([state for state in found if state.session is session], error)


def fail(states: Iterable[ResultState], error: BaseException) -> None:
    """Fail those that are pending; what their observers raise is logged."""
    for state in states:
        if state.status is Status.PENDING:
            try:
                state.fail(error)
            except BaseException:  # noqa: BLE001 - of one observer; the others must be told
                _log.debug("an observer of %s has failed", state.result_id, exc_info=True)


def refuse(event: Any, error: BaseException) -> None:
    """Answer an event that no machine will handle: whoever posted it may wait."""
    if isinstance(event, events.Unobserved):
        return
    states = list(getattr(event, "states", ()))
    for task in getattr(event, "tasks", ()):
        states += task.states
    fail(states, error)
    if isinstance(event, events.Observed):
        for state in states:
            event.observer.ended(state)
    if (reply := getattr(event, "reply", None)) is not None:
        reply.give(error=error)
