"""States of results that a session did not hand out itself: known by their ids only.

A handle that comes out of a pickle is one of them. It finds its session among those that are open,
and in their clusters: when it is unpickled, or else when it is used first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, cast

from pymonik.errors import UsageError
from pymonik.session.current import active_session, open_sessions
from pymonik.session.result import ResultState
from pymonik.wire.call import WHOLE
from pymonik.wire.environment import Environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pymonik.session.remote import RemoteSession


def detached(
    session_id: str, result_id: str, name: str, task_id: str, item: int = WHOLE
) -> ResultState:
    """The state of a result that came out of a pickle."""
    session = _find(session_id)
    state = ResultState(session or cast("Any", DetachedSession(session_id)), name, result_id, item)
    state.task_id = task_id
    if session is not None:
        session.follow([state])
    return state


def _find(session_id: str) -> RemoteSession | None:
    """The session, if it is open here, or a client to its cluster is."""
    active = active_session()  # a task has one that cannot follow results
    opened: list[Any] = [active] if hasattr(active, "follow") else []
    known: list[RemoteSession] = [*opened, *open_sessions.others()]
    for one in known:
        if one.session_id == session_id:
            return one
    others = (one.other(session_id) for one in known)
    return next((one for one in others if one is not None), None)


class DetachedSession:
    """Stands for a session that was not found yet: its id is known, everything else is refused."""

    environment = Environment()

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        self._found: RemoteSession | None = None

    def _session(self, states: Iterable[ResultState] = ()) -> RemoteSession:
        """The session, if it can be found by now; from then on the states belong to it."""
        session = self._found or _find(self.session_id)
        if session is None:
            raise UsageError(
                f"this handle comes out of a pickle, and no client is open to a cluster that has "
                f"its session {self.session_id}: open one, `Pymonik(...).create()`"
            )
        self._found = session
        mine = [state for state in states if state.session is not session]
        for state in mine:
            state.session = session
        session.follow(mine)
        return session

    def wait(self, states: Sequence[ResultState], timeout: float | None, **how: Any) -> None:
        """See `Session`."""
        self._session(states).wait(states, timeout, **how)

    def observe(self, states: Sequence[ResultState], observer: Any) -> None:
        """See `Session`."""
        self._session(states).observe(states, observer)

    def ignore(self, states: Iterable[ResultState], observer: Any) -> None:
        """See `Session`."""
        self._session().ignore(states, observer)

    def call_back(self, state: ResultState, callback: Any, *, ends_future: bool = False) -> None:
        """See `Session`."""
        self._session([state]).call_back(state, callback, ends_future=ends_future)

    def fetch(self, states: Sequence[ResultState]) -> Any:
        """See `Session`."""
        return self._session(states).fetch(states)

    def content(self, result_id: str) -> Any:
        """See `Session`."""
        return self._session().content(result_id)

    def open_file(self, result_id: str) -> Any:
        """See `Session`."""
        return self._session().open_file(result_id)

    def cancel(self, states: Sequence[ResultState]) -> None:
        """See `Session`."""
        self._session(states).cancel(states)

    def _refuse(self, *_: object, **_settings: object) -> NoReturn:
        raise UsageError(
            f"session {self.session_id} is known by a handle out of a pickle only: submit to an "
            "open client"
        )

    submit = before_end = put = _refuse

    def send(self) -> None:
        """Nothing is left to send."""
