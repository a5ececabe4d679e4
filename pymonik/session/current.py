"""Which session a call belongs to that names none.

::

    entered by `with` in this context, or the task that runs here
        └─ none: the newest open session of the process, in every thread and callback

A session that was made by `create` and closed is not replaced silently by an older one.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Iterable
from contextvars import ContextVar
from typing import TYPE_CHECKING, cast

from pymonik.errors import UsageError

if TYPE_CHECKING:
    from pymonik.session.protocol import Session, SessionOwner
    from pymonik.session.remote import RemoteSession

_log = logging.getLogger(__name__)
_entered: ContextVar[Session | None] = ContextVar("pymonik session", default=None)


class OpenSessions:
    """The open sessions of this process, the newest last.

    Threads, signal handlers and finalizers change it: each change is one step.
    """

    def __init__(self) -> None:
        # A strong reference: `Pymonik().create()` may be all that a program does with its client.
        self._newest: RemoteSession | None = None
        self._closed = ""  # id of the newest one, if that was closed while others are open
        self._open: dict[str, weakref.ref[RemoteSession]] = {}
        self._is_told = False  # whether the warning about several open sessions was given

    def add(self, session: RemoteSession) -> None:
        """A session was opened."""
        self._open[session.session_id] = weakref.ref(session)
        self._newest, self._closed = session, ""

    def remove(self, session: RemoteSession, *, was_block: bool) -> None:
        """A session is about to be closed.

        Args:
            session: Which.
            was_block: Whether it was that of a ``with`` block, whose end everybody can see: the
                newest of the others then serves.
        """
        self._open.pop(session.session_id, None)
        others = self.others()
        if self._newest is session:
            self._newest = others[-1] if others and was_block else None
            self._closed = session.session_id if others and not was_block else ""

    def others(self) -> list[RemoteSession]:
        """All sessions that are open."""
        found = (known() for known in list(self._open.values()))
        return [session for session in found if session is not None]

    def newest(self) -> RemoteSession | None:
        """The newest one, if it is open.

        Raises:
            UsageError: It was closed, and older ones are open.
        """
        __tracebackhide__ = True
        newest = self._newest
        if newest is None:
            if self._closed and (others := self.others()):
                names = ", ".join(session.session_id for session in others)
                raise UsageError(
                    f"session {self._closed} was closed, and an older one is open ({names}): "
                    "pass `pymonik=`, call its client's create(), or use it in a `with` block"
                )
            return None
        if len(self._open) > 1 and not self._is_told and len(self.others()) > 1:
            self._is_told = True
            _log.warning(
                "several sessions are open: calls without `pymonik=` go to the newest, %s",
                newest.session_id,
            )
        return newest


open_sessions = OpenSessions()


def current_session() -> Session:
    """The session of the ``with`` around the caller, or of the running task, or the newest.

    Raises:
        UsageError: There is none.
    """
    __tracebackhide__ = True
    session = _entered.get() or open_sessions.newest()
    if session is None:
        raise UsageError(
            "no active session: call this inside `with Pymonik():`, after `Pymonik().create()`, "
            "or pass `pymonik=`"
        )
    return session


def session_of(owner: Session | SessionOwner | None) -> Session:
    """The session to use for a call: that of ``pymonik=`` if it was given, else the current one.

    Raises:
        UsageError: There is none, or something else was given.
    """
    __tracebackhide__ = True
    if owner is None:
        return current_session()
    session = getattr(owner, "session", owner)
    if not callable(getattr(session, "submit", None)):
        raise _no_client(owner)
    return cast("Session", session)


def _no_client(given: object) -> UsageError:
    if isinstance(given, type):
        return UsageError(f"pymonik= takes an open client: {given.__name__}(...).create()")
    text = f"pymonik= takes an open Pymonik client, not a {type(given).__name__}"
    if isinstance(given, Iterable) and not isinstance(given, str):
        # The second positional argument of `map_invoke`, for who knows the built-in `map`.
        text += "; map_invoke takes one iterable: zip(xs, ys) gives items of two arguments"
    return UsageError(text)


def activate(session: Session | None) -> None:
    """Make ``session`` the current one of this context until someone else does."""
    _entered.set(session)


def entered_session() -> Session | None:
    """What `activate` was told last in this context."""
    return _entered.get()


def active_session() -> Session | None:
    """The current session, if any."""
    try:
        return _entered.get() or open_sessions.newest()
    except UsageError:
        return None
