"""Deletes the sessions of our own embedded cluster that nobody can ask for any more.

A program that runs for days opens many sessions in one cluster. Nobody else knows of them: once the
last handle of a closed one is gone, its rows and its data only take memory.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING

from pymonik.core.forgetting import when_forgotten
from pymonik.errors import ControlPlaneError

if TYPE_CHECKING:
    from pymonik.transport.control_plane import ControlPlane
    from pymonik.transport.session import RemoteSession

_log = logging.getLogger(__name__)


class ForgottenSessions:
    """Sessions to delete. Found by the garbage collector, deleted when the next one is opened."""

    def __init__(self) -> None:
        self._ids: deque[str] = deque()  # appended to by the garbage collector: without a lock
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def expect(self, session: RemoteSession) -> None:
        """Have a closed session deleted some time after nothing refers to it any more."""
        when_forgotten(session, self._ids.append, session.session_id)

    def delete(self, plane: ControlPlane) -> None:
        """Delete, in a thread, those that were found until now."""
        with self._lock:
            busy = self._thread is not None and self._thread.is_alive()
            if not self._ids or busy:
                return
            self._thread = threading.Thread(
                target=self._delete, args=(plane,), name="pymonik-forgotten", daemon=True
            )
            self._thread.start()

    def join(self) -> None:
        """Wait until what `delete` began is done."""
        with self._lock:
            if self._thread is not None:
                self._thread.join()

    def _delete(self, plane: ControlPlane) -> None:
        for _ in range(len(self._ids)):
            session_id = self._ids.popleft()
            try:
                if plane.has_running_tasks(session_id):
                    self._ids.append(session_id)  # they may be there for what they do: next time
                else:
                    plane.delete_session(session_id)
            except ControlPlaneError as error:
                _log.debug("session %s was not deleted: %s", session_id, error)
