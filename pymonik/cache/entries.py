"""`Entries`: what a cluster has of earlier calls, found by name and written as calls end.

An entry is a small result whose name says all that a look needs::

    pymonik.cache/<key>/<result id>/<item>/<milliseconds>

so that one list of names is enough for a map of any length. Another list tells which of the results
that were found are still there: only these are hits. What a digest of code stands for is written
once, for `explain`, under ``pymonik.cache-code/<digest>/<function>``.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from weakref import WeakKeyDictionary

import msgspec

from pymonik.cache.bounds import Bounds, Limits
from pymonik.cache.keys import Manifest
from pymonik.errors import ControlPlaneError
from pymonik.runs.figures import seconds_of
from pymonik.session.callbacks import Callbacks
from pymonik.session.forgetting import keep
from pymonik.session.result import ResultState, Status
from pymonik.wire.call import ResultRef

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pymonik.cache.keys import CodeKey
    from pymonik.session.remote import RemoteSession

_log = logging.getLogger("pymonik")

PREFIX: Final = "pymonik.cache/"
CODE_PREFIX: Final = "pymonik.cache-code/"
MOST_ENTRIES: Final = 100_000  # that are listed; of more the oldest are not found
# Seconds for which a list of names serves further looks: a loop that invokes one call after the
# other does not list the names for each. What others write meanwhile is computed again.
_FRESH_S: Final = 2.0
_COMPLETED: Final = "COMPLETED"  # the status of a result that is there, by ArmoniK's name


class Entry(NamedTuple):
    """A value that was computed.

    Attributes:
        key: Of its call.
        place: Where it stands.
        seconds: How long it took.
        entry_id: The result that is the entry.
        created: When it was written, in seconds since the epoch.
    """

    key: str
    place: ResultRef
    seconds: float
    entry_id: str = ""
    created: float = 0.0

    @property
    def name(self) -> str:
        """The name of the result that is the entry."""
        place = self.place
        return f"{PREFIX}{self.key}/{place.result_id}/{place.item}/{round(self.seconds * 1000)}"


class _Known(NamedTuple):
    """The entries whose keys start alike, as of an instant."""

    at: float
    by_key: dict[str, list[Entry]]


class Entries:
    """The entries of one cluster, as one session finds and writes them."""

    def __init__(self, session: RemoteSession) -> None:
        self._session = session
        self._known: dict[str, _Known] = {}  # by what keys start with
        # To be written: added to in the thread that hears of results, which must not wait for a
        # request.
        self._ended: deque[ResultState] = deque()
        # An RLock: a finalizer that submits may come here in the middle of a write, in the same
        # thread.
        self._writing = threading.RLock()
        self._writer = Callbacks()
        self._written_codes: set[str] = set()
        self._codes: dict[str, tuple[str, CodeKey]] = {}  # by digest, with the function's name
        self._is_failure_told = False
        self.limits = Limits()
        self._bounds = Bounds(self)
        keep(session)  # values outlive the handles of this program, and the session
        # The writer may not have had its turn when the session is closed.
        session.before_close(self.write)

    # -- looking -------------------------------------------------------------------------------

    def find(self, start: str, keys: Iterable[str]) -> dict[str, Entry]:
        """The entries of these keys whose values are there.

        Args:
            start: What all of the keys start with.
            keys: Complete.

        Raises:
            ControlPlaneError: It cannot be asked.
        """
        known = self._entries(start)
        candidates = {key: known[key] for key in keys if key in known}
        ids = {one.place.result_id for some in candidates.values() for one in some}
        if not ids:
            return {}
        # An entry may be there whose value somebody has deleted.
        rows = self._session.lists.results(sorted(ids))
        there = {row.result_id for row in rows.values() if row.status == _COMPLETED}
        found = {}
        for key, some in candidates.items():
            for one in reversed(some):  # the newest first
                if one.place.result_id in there:
                    found[key] = one
                    break
        return found

    def _entries(self, start: str) -> Mapping[str, list[Entry]]:
        known = self._known.get(start)
        if known is None or time.monotonic() - known.at > _FRESH_S:
            by_key: dict[str, list[Entry]] = {}
            for entry in listed(self._session.lists, start):
                by_key.setdefault(entry.key, []).append(entry)
            known = self._known[start] = _Known(time.monotonic(), by_key)
        return known.by_key

    # -- writing -------------------------------------------------------------------------------

    def will_compute(self, code: CodeKey, function: str) -> None:
        """Remember what a digest of code stands for: it is written with the first value."""
        if code.digest not in self._written_codes:
            self._codes[code.digest] = function, code

    def ended(self, state: ResultState) -> None:
        """A call has ended; see `Observer`. Failures leave nothing."""
        if state.status is Status.COMPLETED:
            self._ended.append(state)
            self._writer.put(self.write)

    def unanswered(self, _: BaseException) -> None:
        """Nothing to do: nobody waits for entries; see `Observer`."""

    def write(self) -> None:
        """Write entries for the calls that have ended; returns when they are there."""
        with self._writing:
            states = _taken(self._ended)
            if not states:
                return
            entries = [one for one in map(_entry_of, states) if one is not None]
            items = [(one.name, b"") for one in entries]
            items += self._manifests(entries)
            try:
                self._session.store_notes(items)
            except ControlPlaneError as error:
                self._tell(error)
                return
            for entry in entries:
                for start, known in list(self._known.items()):
                    if entry.key.startswith(start):
                        known.by_key.setdefault(entry.key, []).append(entry)
        self._bounds.written(len(entries))

    def check_bounds(self) -> None:
        """Delete the oldest values, where there are more than `limits` allow."""
        self._bounds.check()

    def all(self) -> list[Entry]:
        """Every entry of the cluster, the oldest first.

        Raises:
            ControlPlaneError: It cannot be asked.
        """
        return listed(self._session.lists, "")

    def sizes(self, entries: Sequence[Entry]) -> dict[str, int]:
        """Bytes of the results that are there of those in which values stand.

        Raises:
            ControlPlaneError: It cannot be asked.
        """
        ids = sorted({one.place.result_id for one in entries})
        rows = self._session.lists.results(ids)
        return {row.result_id: row.size for row in rows.values() if row.status == _COMPLETED}

    def forget(self, entries: Sequence[Entry]) -> None:
        """Delete values, and the entries that tell of them.

        Raises:
            ControlPlaneError: It cannot be asked.
        """
        if not entries:
            return
        self._known.clear()
        # Entries first: somebody who looks meanwhile must not find a value that goes.
        self._session.delete([one.entry_id for one in entries if one.entry_id])
        # Listed again: a result holds the values of a whole chunk, and others of them may still be
        # wanted.
        kept = {one.place.result_id for one in self.all()}
        self._session.delete(sorted({one.place.result_id for one in entries} - kept))

    def _manifests(self, entries: Sequence[Entry]) -> list[tuple[str, bytes]]:
        found = []
        for digest in {entry.key.partition(".")[0] for entry in entries}:
            if digest in self._codes:
                function, code = self._codes.pop(digest)
                data = msgspec.msgpack.encode(Manifest(function=function, parts=code.parts))
                found.append((f"{CODE_PREFIX}{digest}/{function}", data))
                self._written_codes.add(digest)
        return found

    def _tell(self, error: ControlPlaneError) -> None:
        if not self._is_failure_told:
            self._is_failure_told = True
            _log.warning("values are not kept for later: %s", error)


def listed(lists: Any, start: str) -> list[Entry]:
    """The entries whose keys start like this, the oldest first.

    Raises:
        ControlPlaneError: It cannot be asked.
    """
    rows = lists.results_named(f"{PREFIX}{start}", limit=MOST_ENTRIES)
    found = []
    for row in reversed(rows):  # they come in the order of the newest first
        entry = read_name(row.name)
        if entry is not None:
            found.append(entry._replace(entry_id=row.result_id, created=row.created or 0.0))
    return found


def read_name(name: str) -> Entry | None:
    """The entry that has this name; ``None`` if another version, or another program, wrote it."""
    parts = name.removeprefix(PREFIX).split("/")
    if len(parts) != 4:
        return None
    key, result_id, item, milliseconds = parts
    try:
        return Entry(key, ResultRef(result_id, int(item)), int(milliseconds) / 1000)
    except ValueError:
        return None


def _entry_of(state: ResultState) -> Entry | None:
    cached = state.cached
    if cached is None or not cached.key:
        return None
    return Entry(cached.key, state.place, seconds_of(state) or 0.0)


def _taken(states: deque[ResultState]) -> list[ResultState]:
    """The states that wait to be written, taken out: each goes to one thread."""
    taken = []
    with contextlib.suppress(IndexError):  # none is left
        while True:
            taken.append(states.popleft())
    return taken


_of_sessions: WeakKeyDictionary[RemoteSession, Entries] = WeakKeyDictionary()


def entries_of(session: RemoteSession) -> Entries:
    """The entries of the cluster, as this session uses them."""
    entries = _of_sessions.get(session)
    if entries is None:
        # Two threads may come here at once; both get the one that was first.
        entries = _of_sessions.setdefault(session, Entries(session))
    return entries
