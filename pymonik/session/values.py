"""Data of completed results, for callers who wait for them, for items, and ahead of both."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

import msgspec

from pymonik.code.opened_result import OpenedResult
from pymonik.errors import ControlPlaneError, UnavailableError
from pymonik.session import events
from pymonik.session.asking import pause
from pymonik.session.items import LARGE_BYTES
from pymonik.session.unread import Unread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymonik.session.asking import Asking
    from pymonik.session.events import Contents, Reply
    from pymonik.session.items import Items
    from pymonik.session.result import ResultState
    from pymonik.session.tasks import Awaited

# Seconds between attempts to read a completed result whose data are not there yet: ArmoniK may tell
# of the result a moment before its object storage has it.
_LATE_S = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28)
_LATE_IN_ALL_S = 10.0  # seconds of such attempts after which whoever waits gets the error
_READ_TOGETHER = 16  # results of one `Read`
_AHEAD = 64  # small results that are read along with one that somebody wants


class _Reading(msgspec.Struct):
    """Data that were asked for."""

    since: float
    wants: list[_Want] = msgspec.field(default_factory=list)
    ahead: weakref.ref[ResultState] | None = None
    attempts: int = 0

    def refuse(self, error: BaseException) -> None:
        """Let go those who wait for it."""
        for want in self.wants:
            want.reply.give(error=error)
        self.wants.clear()


class _Want(msgspec.Struct, eq=False):
    """A caller who waits for data."""

    ids: Sequence[str]
    reply: Reply
    found: dict[str, OpenedResult] = msgspec.field(default_factory=dict)


class Values:
    """What is being read, and for whom.

    Args:
        asking: Makes the requests.
        items: Get what was read of results that hold them.
        reads_ahead: Whether reading takes requests that are worth putting together.
    """

    def __init__(self, asking: Asking, items: Items, *, reads_ahead: bool) -> None:
        self._asking = asking
        self._items = items
        self._reads_ahead = reads_ahead
        self._reading: dict[str, _Reading] = {}
        self._to_read: list[str] = []  # ids to ask for at the end of this turn of the machine
        # Completed results that may be read ahead, in the order of their ends. Weakly: a value
        # whose handle is gone is not read.
        self._unread = Unread()

    @property
    def are_being_read(self) -> bool:
        """Whether some data were asked for and have not arrived."""
        return bool(self._reading)

    def completed(self, state: ResultState, result_id: str) -> None:
        """A value is there that may be read ahead."""
        if self._reads_ahead:
            self._unread.add(result_id, weakref.ref(state))

    def open(self, awaited: Awaited, data: bytes | None, now: float) -> None:
        """Find out how the calls of a completed result ended, and how long they took."""
        result_id = awaited.result_id
        self._items.read(awaited)
        if result_id in self._reading:
            return
        if data is None:
            self._reading[result_id] = _Reading(now)
            self._to_read.append(result_id)
            return
        try:
            opened = OpenedResult(bytearray(data))
        except Exception as error:  # noqa: BLE001 - whoever waits must learn why, whatever it is
            self._items.are_unreadable(result_id, error)
            return
        if any(item.failed for item in opened.meta.items):
            self._reading[result_id] = _Reading(now)
            self._asking.ask(events.Explain(result_id, opened))
        else:
            self._items.arrived(result_id, events.Contents(opened))

    def wanted(self, event: events.Wanted, now: float) -> None:
        """Somebody waits for data."""
        want = _Want(event.ids, event.reply)
        for result_id in event.ids:
            reading = self._reading.get(result_id)
            if reading is None:
                reading = self._reading[result_id] = _Reading(now)
                self._to_read.append(result_id)
            # A caller waits from now on: patience begins anew, and the value is not only kept.
            reading.since = now
            reading.ahead = None
            reading.wants.append(want)
            self._unread.discard(result_id)
        if self._reads_ahead and len(event.ids) < _AHEAD:
            self._read_ahead(event.ids[0], now)

    def _read_ahead(self, wanted: str, now: float) -> None:
        """Read small results that ended around one that is wanted: they may be asked for next."""
        ids: list[str] = []
        for result_id, state in self._unread.around(wanted, _AHEAD):
            known = state()
            if known is not None and known.news is None and result_id not in self._reading:
                self._reading[result_id] = _Reading(now, ahead=state)
                ids.append(result_id)
        self._ask(ids, LARGE_BYTES)

    def read_together(self) -> None:
        """Ask for what was gathered in this turn of the machine."""
        if not self._to_read:
            return
        ids = [one for one in dict.fromkeys(self._to_read) if one in self._reading]
        self._to_read = []
        self._ask([one for one in ids if not self._is_only_timed(one)], None)
        self._ask([one for one in ids if self._is_only_timed(one)], LARGE_BYTES)

    def _ask(self, ids: Sequence[str], most_bytes: int | None) -> None:
        for start in range(0, len(ids), _READ_TOGETHER):
            self._asking.ask(events.Read(ids[start : start + _READ_TOGETHER], most_bytes))

    def _is_only_timed(self, result_id: str) -> bool:
        return not self._reading[result_id].wants and self._items.are_only_timed(result_id)

    # -- answers -------------------------------------------------------------------------------

    def read(self, request: events.Read, event: events.Answered, now: float) -> None:
        """A request for data was answered."""
        outcomes = event.value or [event.error] * len(request.ids)
        for result_id, outcome in zip(request.ids, outcomes, strict=True):
            reading = self._reading.get(result_id)
            if reading is None:
                continue
            if isinstance(outcome, events.Contents):
                self._arrived(reading, result_id, outcome)
            elif outcome is None:
                self._was_large(reading, result_id)
            else:
                self._not_read(reading, result_id, outcome, now)

    def _arrived(self, reading: _Reading, result_id: str, contents: Contents) -> None:
        del self._reading[result_id]
        self._items.arrived(result_id, contents)
        for want in reading.wants:
            want.found[result_id] = contents.opened
            if len(want.found) == len(set(want.ids)):
                want.reply.give([want.found[one] for one in want.ids])
        state = reading.ahead() if reading.ahead is not None else None
        if state is not None and state.news is None:
            state.news = self._items.keep(contents.opened)

    def _was_large(self, reading: _Reading, result_id: str) -> None:
        """A result is larger than the request was for."""
        if not reading.wants and not self._items.are_read(result_id):
            del self._reading[result_id]  # it was read ahead: no caller has asked for it yet
        elif self._is_only_timed(result_id):
            del self._reading[result_id]
            self._items.were_large(result_id)
        else:
            self._to_read.append(result_id)

    def _not_read(
        self, reading: _Reading, result_id: str, error: BaseException, now: float
    ) -> None:
        """A failed download ends nothing: whoever waits goes on waiting, for data for long."""
        is_away = isinstance(error, UnavailableError)
        if now - reading.since >= (self._asking.patience_s if is_away else _LATE_IN_ALL_S):
            reading.refuse(error)
        if not isinstance(error, ControlPlaneError):  # the data are there, and cannot be read
            reading.refuse(error)
            self._items.are_unreadable(result_id, error)
        if not reading.wants and not self._items.are_read(result_id):
            del self._reading[result_id]
            return
        pause_s = pause(reading.attempts) if is_away else _late(reading.attempts)
        reading.attempts += 1
        wait = self._asking.again if is_away else self._asking.after
        wait(now + pause_s, lambda _: self._read_again(result_id))

    def _read_again(self, result_id: str) -> None:
        if result_id in self._reading:
            self._to_read.append(result_id)

    def explained(self, request: events.Explain, event: events.Answered, _: float) -> None:
        """The failed items of a result were made exceptions of."""
        reading = self._reading.get(request.result_id)
        if reading is None:
            return
        if event.error is None:
            self._arrived(reading, request.result_id, event.value)
        else:
            del self._reading[request.result_id]
            reading.refuse(event.error)
            self._items.are_unreadable(request.result_id, event.error)

    def give_up(self, error: BaseException) -> None:
        """Nothing more is read: whoever waits gets the error."""
        for reading in self._reading.values():
            reading.refuse(error)
        self._reading.clear()
        self._items.fail_all(error)


def _late(attempts: int) -> float:
    """Seconds before data are asked for again that are not there yet."""
    return _LATE_S[min(attempts, len(_LATE_S) - 1)]
