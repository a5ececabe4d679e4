"""Deletes what nobody can ask for any more in a cluster that the program has for itself.

A program that runs for days opens many sessions there, and one of them may have more results than
the machine has memory. Nobody else knows of them: once the last handle of a result is gone, its
data only take memory; once the last of a closed session is, its rows do as well.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections import deque
from typing import TYPE_CHECKING

from pymonik.errors import ControlPlaneError
from pymonik.session.forgetting import Hold, when_forgotten

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymonik.transport.control_plane import ControlPlane
    from pymonik.transport.session import RemoteSession

_log = logging.getLogger(__name__)
_GATHER_S = 0.05
_LEAVE_S = 5.0  # the cluster may have stopped
_END = ""  # instead of an id, to wake the thread


class ForgottenSessions:
    """Sessions to delete. Found by the garbage collector, deleted when the next one is opened."""

    def __init__(self) -> None:
        self._ids: deque[str] = deque()  # appended to by the garbage collector: no lock
        self._thread: threading.Thread | None = None  # the last one

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
                self._ids.append(session_id)  # they may be there for what they do: next time
            else:
                plane.delete_session(session_id)
        except ControlPlaneError as error:
            _log.debug("session %s was not deleted: %s", session_id, error)

    def _taken(self) -> list[str]:
        """Those that were found; another thread may take some of them."""
        taken: list[str] = []
        with contextlib.suppress(IndexError):
            while True:
                taken.append(self._ids.popleft())
        return taken


class ForgottenResults:
    """Data to delete, of one session, from a thread of its own: many at once, a moment later.

    Args:
        plane: Of the session.
        are_kept: Whether somebody may ask who is not seen here.
    """

    def __init__(self, plane: ControlPlane, are_kept: Callable[[], bool]) -> None:
        self._plane = plane
        self._are_kept = are_kept
        self._ids: queue.SimpleQueue[str] = queue.SimpleQueue()  # the garbage collector may put
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pymonik-forgotten", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def hold(self, result_id: str) -> Hold:
        """What to refer to as long as the data are to stay."""
        return Hold(result_id, self._ids.put)

    def close(self) -> None:
        """Delete what was forgotten, and end the thread; what will be goes with the session."""
        self._closed.set()
        self._ids.put(_END)
        self._thread.join(_LEAVE_S)

    def _run(self) -> None:
        while not self._closed.is_set():
            ids = self._taken()
            if ids and not self._are_kept():
                self._delete(ids)

    def _delete(self, ids: list[str]) -> None:
        try:
            self._plane.delete_data(ids)
        except ControlPlaneError as error:  # they are deleted with the session
            _log.debug("%d results were not deleted: %s", len(ids), error)

    def _taken(self) -> list[str]:
        """Those that were forgotten; waits for one, or the end."""
        taken = [self._ids.get()]
        self._closed.wait(_GATHER_S)  # a request for each would slow down the calls that follow
        while not self._ids.empty():
            taken.append(self._ids.get())
        return [one for one in taken if one != _END]
