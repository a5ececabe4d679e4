"""Purges sessions of this program, once it cannot ask for their results any more.

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

from pymonik.errors import ControlPlaneError, UnavailableError
from pymonik.session.forgetting import is_kept, when_forgotten

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pymonik.runs.rows import Lists
    from pymonik.session.remote import RemoteSession
    from pymonik.transport.listing import Listing

_log = logging.getLogger(__name__)

_AGAIN_S: Final = 0.05
_MOST_AT_EXIT_S: Final = 5.0  # seconds that purging may keep a program from ending
_MOST_RESULTS: Final = 100_000  # of a session that are deleted one by one
_MOST_FAILED: Final = 1_000  # calls of a session whose data stay
_TOGETHER: Final = 500  # results of one request to delete data


class _Followed(msgspec.Struct):
    """A session of this program, which is to be purged.

    Attributes:
        failed: Gives the results of calls that failed, which are to stay.
        pid: Of the process that has the session; a fork of it must not purge it.
        is_closed: Whether its client has closed it.
    """

    lists: Listing
    session_id: str
    failed: Callable[[], Sequence[str]]
    pid: int
    is_closed: bool = False


class Purges:
    """Sessions to purge. Found by the garbage collector, purged when one is opened or closed."""

    def __init__(self) -> None:
        self._found: deque[_Followed] = deque()  # appended to by the garbage collector: no lock
        self._followed: weakref.WeakKeyDictionary[RemoteSession, _Followed]
        self._followed = weakref.WeakKeyDictionary()

    def follow(self, session: RemoteSession, failed: Callable[[], Sequence[str]]) -> None:
        """Have an open session purged some time after nothing refers to it any more.

        Args:
            session: That was opened.
            failed: Gives the results of its calls that failed; does not refer to the session.
        """
        followed = _Followed(session.lists, session.session_id, failed, os.getpid())
        self._followed[session] = followed
        when_forgotten(session, self._found.append, followed)
        self._begin()

    def expect(self, session: RemoteSession, failed: Sequence[str]) -> None:
        """The session was closed: it is purged at the end of the program at the latest."""
        followed = self._followed.get(session)
        if followed is not None:
            kept = tuple(failed[:_MOST_FAILED])
            followed.failed, followed.is_closed = lambda: kept, True
        self._begin()

    def _begin(self) -> None:
        if self._found:
            threading.Thread(target=self.purge_found, name="pymonik-purges", daemon=True).start()

    def purge_found(self) -> None:
        """Purge those that the garbage collector has found until now."""
        for _ in range(len(self._found)):
            try:
                followed = self._found.popleft()
            except IndexError:  # another thread was faster
                return
            if not _purge(followed):
                self._found.append(followed)

    def purge_all(self) -> None:
        """At the end of the program: closed ones too whose handles are still there."""
        end = time.monotonic() + _MOST_AT_EXIT_S
        for session, followed in list(self._followed.items()):
            if followed.is_closed and not is_kept(session):
                self._found.append(followed)
        while self._found and time.monotonic() < end:
            self.purge_found()
            if self._found:  # the thread of a session that nobody has closed is closing it just now
                time.sleep(_AGAIN_S)


purges: Final = Purges()
atexit.register(purges.purge_all)


def _purge(followed: _Followed) -> bool:
    """Purge it; `False` if it is to be tried again, since it is being closed just now."""
    if followed.pid != os.getpid():
        return True
    failed = followed.failed()[:_MOST_FAILED]
    try:
        if failed:
            _delete_others(followed.lists, followed.session_id, failed)
        else:
            followed.lists.purge_session(followed.session_id)
    except ControlPlaneError as error:
        _log.debug("session %s was not purged: %s", followed.session_id, error)
        return followed.is_closed or isinstance(error, UnavailableError)
    return True


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
