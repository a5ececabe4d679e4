"""What calls have reported while they ran: `reports`, `follow` and `next_report` of a handle."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, cast, runtime_checkable

from pymonik.errors import PymonikError, UsageError, WaitTimeoutError
from pymonik.quantities import wait_s
from pymonik.wire.live import REPORT_PREFIX, live_name, report_entries

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pymonik.runs.live import Live
    from pymonik.runs.rows import Lists
    from pymonik.session.result import ResultState
    from pymonik.wire.live import ReportEntry

Report = dict[str, Any]
Key = tuple[str, int]  # a task's output, and the place of the call in the task

_MOST: Final = 10_000  # reports of one call that are kept: the last ones
_MOST_CALLS: Final = 10_000  # calls whose reports are kept; those that reported first go


class _OfCall:
    """The reports of one call.

    Attributes:
        first: The number of the first that is kept.
        taken: The number of the next for `next_report`.
    """

    def __init__(self) -> None:
        self.entries: list[ReportEntry] = []
        self.first = 0
        self.taken = 0

    def add(self, entry: ReportEntry) -> None:
        self.entries.append(entry)
        most = min(entry.keep or _MOST, _MOST)
        # Reports that nobody has taken yet stay: ``keep`` is about those that were read.
        spare = min(len(self.entries) - most, max(self.taken - self.first, 0))
        spare = max(spare, len(self.entries) - _MOST)
        if spare > 0:
            del self.entries[:spare]
            self.first += spare

    @property
    def end(self) -> int:
        return self.first + len(self.entries)


class Reports:
    """All that was heard in a session, by call. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._calls: OrderedDict[Key, _OfCall] = OrderedDict()
        self._known: set[tuple[Key, int, int, float]] = set()

    def add(self, output_id: str, entries: Sequence[ReportEntry]) -> None:
        """Calls of the task with this output have reported something."""
        with self._lock:
            for entry in entries:
                key = output_id, entry.place
                mark = key, entry.attempt, entry.count, entry.at
                # A report may come on two ways: with the news, and from a list.
                if mark in self._known:
                    continue
                if len(self._known) > 10 * _MOST:
                    # All at once: a report that comes a second time does so soon after the first.
                    self._known.clear()
                self._known.add(mark)
                self._of(key).add(entry)

    def since(self, key: Key, number: int) -> tuple[list[Report], int]:
        """The reports of a call from that number on, and the number after the last."""
        with self._lock:
            call = self._calls.get(key)
            if call is None:
                return [], number
            start = max(number - call.first, 0)
            return [as_dict(entry) for entry in call.entries[start:]], call.end

    def count(self, key: Key) -> int:
        """The number after the last report of a call."""
        call = self._calls.get(key)
        return 0 if call is None else call.end

    def has_next(self, key: Key) -> bool:
        """Whether there is one that `take` has not given."""
        call = self._calls.get(key)
        return call is not None and call.end > max(call.taken, call.first)

    def take(self, key: Key) -> Report | None:
        """The next report of a call, which is given once."""
        with self._lock:
            call = self._of(key)
            call.taken = max(call.taken, call.first)
            if call.taken >= call.end:
                return None
            call.taken += 1
            return as_dict(call.entries[call.taken - 1 - call.first])

    def _of(self, key: Key) -> _OfCall:
        call = self._calls.get(key)
        if call is None:
            call = self._calls[key] = _OfCall()
            if len(self._calls) > _MOST_CALLS:
                self._calls.popitem(last=False)
        return call


def as_dict(entry: ReportEntry) -> Report:
    """A report as people get it: ``at``, ``count``, and the fields that were reported."""
    return {"at": entry.at, "count": entry.count, **entry.fields}


# -- of a handle -----------------------------------------------------------------------------------


@runtime_checkable
class _Hearing(Protocol):
    """A session that hears of its running tasks, and whose control plane can be asked."""

    session_id: str
    lists: Lists
    live: Live


def reports_of(state: ResultState) -> list[Report]:
    """What a call has reported so far."""
    session, key = _hearing(state), _key(state)
    _catch_up(state, session, key)
    return session.live.reports.since(key, 0)[0]


def heard(state: ResultState) -> list[Report]:
    """The reports of a call that this session has heard, without asking anybody."""
    if not isinstance(state.session, _Hearing) or state.result_id is None:
        return []
    session = cast("_Hearing", state.session)
    session.live.catch_up()
    return session.live.reports.since((state.result_id, max(state.item, 0)), 0)[0]


def next_report(state: ResultState, timeout: float | None) -> Report:
    """The next report that this was not asked for before, by any handle of the call.

    Raises:
        WaitTimeoutError: There is none after ``timeout`` seconds, or the call has ended.
    """
    session, key = _hearing(state), _key(state)
    live = session.live
    with _Waiting(state, timeout) as waiting:
        live.wait(
            lambda: live.reports.has_next(key) or state.is_final or waiting.error is not None,
            wait_s(timeout),
        )
    if state.is_final:
        _catch_up(state, session, key)
    report = live.reports.take(key)
    if report is None and waiting.error is not None:
        raise waiting.error
    if report is None:
        why = "the call has ended" if state.is_final else f"none came within {timeout} s"
        raise WaitTimeoutError(f"there is no further report: {why}")
    return report


def follow(state: ResultState, timeout: float | None) -> Iterator[Report]:
    """All reports of a call, from the first on, until it has ended.

    Raises:
        WaitTimeoutError: Nothing came for ``timeout`` seconds.
    """
    session, key = _hearing(state), _key(state)
    live, number = session.live, 0
    with _Waiting(state, timeout) as waiting:
        while True:
            # Asked before the reports are read: those that come between the two belong to this
            # round.
            is_last = state.is_final
            if is_last:
                _catch_up(state, session, key)
            found, number = live.reports.since(key, number)
            yield from found
            if is_last:
                return
            if waiting.error is not None:
                raise waiting.error
            if not found and not live.wait(
                partial(_is_news, waiting, key, number), wait_s(timeout)
            ):
                raise WaitTimeoutError(f"no report came within {timeout} s")


def _is_news(waiting: _Waiting, key: Key, number: int) -> bool:
    """Whether there is a report of that number or later, or there will be none."""
    state = waiting.state
    reports = _hearing(state).live.reports
    return reports.count(key) > number or state.is_final or waiting.error is not None


class _Waiting:
    """Has the session tell of the end of a call while the block runs; see `Observer`.

    Attributes:
        error: Why nothing more is heard.
    """

    def __init__(self, state: ResultState, timeout: float | None) -> None:
        self.state = state
        self._has_end = timeout is not None
        self._live = _hearing(state).live
        self.error: BaseException | None = None

    def ended(self, _state: ResultState) -> None:
        """The call has ended."""
        self._live.wake()

    def unanswered(self, error: BaseException) -> None:
        """The control plane has not answered for long; see `Observer`."""
        if not self._has_end:
            self.error = error
            self._live.wake()

    def __enter__(self) -> _Waiting:
        self.state.session.observe([self.state], self)
        return self

    def __exit__(self, *_: object) -> None:
        self.state.session.ignore([self.state], self)


def _hearing(state: ResultState) -> _Hearing:
    if not isinstance(state.session, _Hearing):
        raise UsageError("reports are heard by the program that has the session open")
    return cast("_Hearing", state.session)


def _key(state: ResultState) -> Key:
    if state.result_id is None:
        state.session.send()
    return state.result_id or "", max(state.item, 0)


def _catch_up(state: ResultState, session: _Hearing, key: Key) -> None:
    """Have all that was told so far, also by calls that another program has started."""
    live = session.live
    live.catch_up()
    # Without a request, in general: what was heard is all. A call of another program may have
    # reported before this one listened, and over gRPC an end may be heard before the last report.
    if live.reports.count(key) and not (live.is_late and state.is_final):
        return
    with contextlib.suppress(PymonikError):  # it may be forbidden, or deleted meanwhile
        rows = session.lists.results_named(
            f"{REPORT_PREFIX}{key[0]}/", session_id=session.session_id
        )
        found = [(name, row) for row in rows if (name := live_name(row.name)) is not None]
        found.sort(key=lambda pair: (pair[0].attempt, pair[0].number))
        for _, row in found:
            live.reports.add(key[0], report_entries(session.lists.data(row)))
