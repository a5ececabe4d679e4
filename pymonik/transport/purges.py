"""Purges sessions that this program has closed, once it cannot ask for their results any more.

That is when the last handle is gone, or when the program ends: values can be read after the block
of their client. What calls need that failed stays, so that they can be looked at and run again;
then the other data go one by one, and the session is left.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING, Final

import msgspec

from pymonik.errors import ControlPlaneError
from pymonik.session.forgetting import is_kept, when_forgotten

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymonik.runs.rows import Lists
    from pymonik.session.remote import RemoteSession
    from pymonik.transport.listing import Listing

_log = logging.getLogger(__name__)

_MOST_AT_EXIT_S: Final = 5.0  # seconds that purging may keep a program from ending
_MOST_RESULTS: Final = 100_000  # of a session that are deleted one by one
_MOST_FAILED: Final = 1_000  # calls of a session whose data stay
_TOGETHER: Final = 500  # results of one request to delete data


class _Closed(msgspec.Struct, frozen=True):
    """A session to purge.

    Attributes:
        failed: Results of calls that failed.
        pid: Of the process that closed it; a fork of it must not do this.
    """

    lists: Listing
    session_id: str
    failed: tuple[str, ...]
    pid: int


class Purges:
    """Sessions to purge. Found by the garbage collector, purged when the next one is closed."""

    def __init__(self) -> None:
        self._found: deque[_Closed] = deque()  # appended to by the garbage collector: no lock
        self._closed: weakref.WeakKeyDictionary[RemoteSession, _Closed]
        self._closed = weakref.WeakKeyDictionary()

    def expect(self, session: RemoteSession, failed: Sequence[str]) -> None:
        """Have a closed session purged when nothing refers to it any more, or at the end."""
        closed = _Closed(
            session.lists, session.session_id, tuple(failed[:_MOST_FAILED]), os.getpid()
        )
        self._closed[session] = closed
        when_forgotten(session, self._found.append, closed)
        if self._found:
            threading.Thread(target=self.purge_found, name="pymonik-purges", daemon=True).start()

    def purge_found(self) -> None:
        """Purge those that the garbage collector has found until now."""
        while self._found:
            try:
                closed = self._found.popleft()
            except IndexError:  # another thread was faster
                return
            _purge(closed)

    def purge_all(self) -> None:
        """At the end of the program: those too whose handles are still there."""
        end = time.monotonic() + _MOST_AT_EXIT_S
        for session, closed in list(self._closed.items()):
            if not is_kept(session):
                self._found.append(closed)
        while self._found and time.monotonic() < end:
            _purge(self._found.popleft())


purges: Final = Purges()
atexit.register(purges.purge_all)


def _purge(closed: _Closed) -> None:
    if closed.pid != os.getpid():
        return
    try:
        if closed.failed:
            _delete_others(closed.lists, closed.session_id, closed.failed)
        else:
            closed.lists.purge_session(closed.session_id)
    except ControlPlaneError as error:
        _log.debug("session %s was not purged: %s", closed.session_id, error)


def _delete_others(lists: Lists, session_id: str, failed: Sequence[str]) -> None:
    """Delete the data of a session but for what the calls need that failed."""
    owners = {row.owner for row in lists.results(failed).values()} - {"", session_id}
    tasks = lists.tasks(ids=sorted(owners), limit=len(owners), details=True) if owners else []
    needed = {*failed}
    for task in tasks:
        needed.update((task.payload, *task.dependencies, *task.outputs))
    there = lists.results_named("", _MOST_RESULTS, session_id=session_id)
    ids = [row.result_id for row in there if row.result_id not in needed]
    for start in range(0, len(ids), _TOGETHER):
        lists.delete_data(ids[start : start + _TOGETHER])
