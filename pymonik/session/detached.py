"""States of results that a session did not hand out itself: known by their ids only."""

from __future__ import annotations

from typing import NoReturn, Protocol, cast, runtime_checkable

from pymonik.errors import UsageError
from pymonik.session.current import active_session
from pymonik.session.result import ResultState
from pymonik.wire.call import WHOLE
from pymonik.wire.environment import Environment


@runtime_checkable
class Attaching(Protocol):
    """A session that can follow a result which it did not create."""

    def attach(
        self, result_id: str, name: str = "", task_id: str = "", item: int = WHOLE
    ) -> ResultState:
        """The state of an existing result, or an item of it, which the session keeps up to date."""


def detached(
    session_id: str, result_id: str, name: str, task_id: str, item: int = WHOLE
) -> ResultState:
    """The state of a result that came out of a pickle: of the current session if that is its."""
    session = active_session()
    if session is not None and session.session_id == session_id and isinstance(session, Attaching):
        return cast("Attaching", session).attach(result_id, name, task_id, item)
    state = ResultState(DetachedSession(session_id), name, result_id, item)
    state.task_id = task_id
    return state


class DetachedSession:
    """Stands for a session that is not there: its id is known, everything else is refused."""

    environment = Environment()

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id

    def _refuse(self, *_: object, **_settings: object) -> NoReturn:
        raise UsageError(
            f"this handle comes out of a pickle and its session {self.session_id} is not the "
            "current one: unpickle it while that session is active"
        )

    submit = before_end = put = wait = observe = ignore = call_back = fetch = cancel = content = (
        _refuse
    )

    def send(self) -> None:
        """Nothing is left to send."""
