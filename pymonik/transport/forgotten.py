"""Deletes sessions that nobody can ask any more, in a cluster that the program has for itself.

A program that runs for days opens many sessions there. Nobody else knows of them: once the last
handle of a closed session is gone, its rows only take memory.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque
from typing import TYPE_CHECKING

from pymonik.errors import ControlPlaneError
from pymonik.session.forgetting import when_forgotten

if TYPE_CHECKING:
    from pymonik.session.remote import RemoteSession
    from pymonik.transport.control_plane import ControlPlane

_log = logging.getLogger(__name__)


class ForgottenSessions:
    """Sessions to delete. Found by the garbage collector, deleted when the next one is opened."""

    def __init__(self) -> None:
        self._ids: deque[str] = deque()  # appended to by the garbage collector: no lock
        self._thread: threading.Thread | None = None  # of the last `delete`

    def expect(self, session: RemoteSession) -> None:
        """Have a closed session deleted some time after nothing refers to it any more."""
        when_forgotten(session, self._ids.append, session.session_id)

    def delete(self, plane: ControlPlane) -> None:
        """Delete, in a thread that ends with it, those that were found until now."""
        if self._ids:
            self._thread = threading.Thread(
                target=self._delete, args=(plane,), name="pymonik-forgotten", daemon=True
            )
            self._thread.start()

    def join(self) -> None:
        """Wait until what the last `delete` began is done."""
        if self._thread is not None:
            self._thread.join()

    def _delete(self, plane: ControlPlane) -> None:
        for session_id in self._taken():
            self._delete_one(plane, session_id)

    def _delete_one(self, plane: ControlPlane, session_id: str) -> None:
        try:
            if plane.has_running_tasks(session_id):
                # Running tasks may be wanted for what they do: the session is deleted next time.
                self._ids.append(session_id)
            else:
                plane.delete_session(session_id)
        except ControlPlaneError as error:
            _log.debug("session %s was not deleted: %s", session_id, error)

    def _taken(self) -> list[str]:
        """The ids that were found, taken out; another thread may take some of them."""
        taken: list[str] = []
        with contextlib.suppress(IndexError):
            while True:
                taken.append(self._ids.popleft())
        return taken
