"""What is heard of running tasks: what they print, for whoever shows it, and what they report.

::

    news of the session ─┐
    events, over gRPC ───┴─► heard ──► queue ──► one thread ──► shown, kept, told to who waits

Nothing here keeps the thread waiting that hears. The last of what each call has printed is kept for
`handle.logs()`, up to a bound for all.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
import time
import weakref
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Final, NamedTuple

from pymonik.errors import PymonikError
from pymonik.runs.logs import said_by
from pymonik.runs.reports import Reports
from pymonik.wire.live import (
    LOG_PREFIX,
    LiveName,
    LogEntry,
    live_name,
    log_entries,
    report_entries,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pymonik.code.opened_result import OpenedResult
    from pymonik.runs.output import Shown
    from pymonik.session.result import ResultState

_log = logging.getLogger(__name__)

_KEPT_OF_CALL: Final = 64 * 1024  # characters: as much as `logs()` promises
_KEPT_IN_ALL: Final = 16 * 1024 * 1024  # characters, and bytes in the cluster
# Seconds without any progress after which whoever waits for what was heard gives up: the thread may
# be in a callable of the program that does not return.
_STUCK_S: Final = 5.0
_CATCH_UP_S: Final = 2.0  # seconds, where somebody waits for values and output is a by-product

Key = tuple[str, int]  # a task's output, and the place of the call in the task
_behind: weakref.WeakSet[Live] = weakref.WeakSet()  # sessions that have heard more than was handled


class Heard(NamedTuple):
    """A result that tells of a running task.

    Attributes:
        data: ``None`` where they have to be asked for.
    """

    name: str
    result_id: str
    data: bytes | None


class Ended(NamedTuple):
    """A call of which perhaps nothing was heard while it ran.

    Attributes:
        entries: What came with its end of what it has printed, one for each turn of the streams.
    """

    output_id: str
    entries: Sequence[LogEntry]

    @property
    def name(self) -> str:
        """The name of the function."""
        return self.entries[0].name


class Live:
    """What one session hears of its running tasks. Thread-safe, also in signal handlers.

    Args:
        read: Gives the data of a result.
        forget: Called with results that are of no use any more; ``None``: they stay.
        show: Gets what calls print, and when nothing more comes for the moment.

    Attributes:
        is_live: Whether tasks are heard before they end.
        is_late: Whether the end of a task may be heard before what it told last.
    """

    def __init__(
        self,
        read: Callable[[str], bytes],
        forget: Callable[[str], object] | None = None,
        show: Shown | None = None,
    ) -> None:
        self.is_live = self.is_late = False
        self._read = read
        self._forget = forget
        self._show = show
        # Appending to it is one step, so that an interrupt leaves nothing half done.
        self._heard: queue.SimpleQueue[Heard | Ended | None] = queue.SimpleQueue()
        self._ended: OrderedDict[Key, None] = OrderedDict()  # shown when they had ended
        self._is_known: OrderedDict[str, None] = OrderedDict()  # results that were handled
        self._tails: OrderedDict[Key, str] = OrderedDict()
        self._kept = 0  # characters in them
        self._used: deque[tuple[str, int]] = deque()  # results and their bytes
        self._used_bytes = 0
        self._count = self._handled = 0
        self.reports = Reports()
        self._starting = threading.RLock()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        # A fork has the tables, but not the thread: it hears nothing.
        self._pid = os.getpid()

    def heard(self, name: str, result_id: str, data: bytes | None = None) -> None:
        """There is a result of such a name; called by threads that must go on."""
        self._put(Heard(name, result_id, data))

    def ended(self, state: ResultState, opened: OpenedResult | None = None) -> None:
        """A call has ended; what it printed is shown unless it was heard while it ran.

        Where workers do not reach the control plane, nothing is heard of a task before its end.

        Args:
            state: Of the call.
            opened: The result that holds its value; what has failed tells it with its error.
        """
        if self.is_live or self._show is None or state.result_id is None:
            return
        text, turns = said_by(state.error) if opened is None else opened.said(state.item)
        if text:
            from pymonik.wire.streams import apart  # of clusters elsewhere only

            entries = [
                LogEntry(state.name, part, stream, max(state.item, 0), state.index)
                for stream, part in _with_ends(apart(text, turns))
            ]
            self._put(Ended(state.result_id, entries))

    def _put(self, one: Heard | Ended) -> None:
        if os.getpid() != self._pid:
            return
        self._count += 1
        self._heard.put(one)
        # Last: a `catch_up` that runs meanwhile takes this out of the set, and must have seen what
        # was put into the queue.
        _behind.add(self)
        if self._thread is None:
            self._start()

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="pymonik-live", daemon=True)
                self._thread.start()

    def catch_up(self, stuck_s: float = _STUCK_S) -> bool:
        """Wait until all that was heard is handled; ``False`` where that makes no progress."""
        if self._thread is None or self._thread is threading.current_thread():
            return True
        goal = self._count
        end, last = time.monotonic() + stuck_s, self._handled
        with self._changed:
            while self._handled < goal:
                # Woken after each thing that is handled; the limit is looked at in between.
                self._changed.wait(0.1)
                if self._handled != last:
                    end, last = time.monotonic() + stuck_s, self._handled
                elif time.monotonic() > end:
                    return False
        _behind.discard(self)
        return True

    def close(self) -> None:
        """Handle what was heard, and end."""
        if self._thread is not None and os.getpid() == self._pid and self.catch_up():
            self._heard.put(None)

    def tail(self, output_id: str, place: int) -> str:
        """The last that a call has printed, as far as it was heard."""
        self.catch_up(_CATCH_UP_S)
        return self._tails.get((output_id, max(place, 0)), "")

    def wake(self) -> None:
        """Have all who `wait` ask again; called by threads that must go on."""
        self.heard("", "")

    def wait(self, is_there: Callable[[], bool], timeout: float | None) -> bool:
        """Block until that holds; asked after each thing that was heard.

        Args:
            is_there: Whether what is waited for is there.
            timeout: Seconds; ``None`` waits without limit.
        """
        with self._changed:
            return self._changed.wait_for(is_there, timeout)

    # -- thread ----------------------------------------------------------------------------------

    def _run(self) -> None:
        while (one := self._next()) is not None:
            try:
                self._handle(one)
            except Exception:  # noqa: BLE001 - of a callable of the program, or a stream of it
                _log.debug("%s could not be handled", one.name, exc_info=True)
            with self._changed:
                self._handled += 1
                self._changed.notify_all()
        with self._starting:
            self._thread = None

    def _next(self) -> Heard | Ended | None:
        with contextlib.suppress(queue.Empty):
            return self._heard.get_nowait()
        if self._show is not None:
            self._show.pause()
        return self._heard.get()

    def _handle(self, one: Heard | Ended) -> None:
        if isinstance(one, Ended):
            self._show_ended(one)
            return
        name = live_name(one.name)
        if name is None or one.result_id in self._is_known:
            return
        self._is_known[one.result_id] = None
        if len(self._is_known) > _MOST_KNOWN:
            self._is_known.popitem(last=False)
        data = one.data
        if data is None:
            try:
                data = self._read(one.result_id)
            except PymonikError as error:
                _log.debug("%s cannot be read: %s", one.name, error)
                return
        if name.prefix == LOG_PREFIX:
            self._printed(name, data)
        else:
            self.reports.add(name.output_id, report_entries(data))
        self._use(one.result_id, len(data))

    def _show_ended(self, one: Ended) -> None:
        """Once, and not what was heard already; what is heard of it later is the same."""
        key = one.output_id, one.entries[0].place
        if key in self._tails or key in self._ended or self._show is None:
            return
        self._ended[key] = None
        if len(self._ended) > _MOST_KNOWN:
            self._ended.popitem(last=False)
        for entry in one.entries:
            self._show.add(one.output_id, entry)

    def _printed(self, name: LiveName, data: bytes) -> None:
        for entry in log_entries(data):
            key = name.output_id, entry.place
            if key in self._ended:
                continue
            # Taken out and put in again, so that the table is in the order of the last use.
            before = self._tails.pop(key, "")
            tail = (before + entry.text)[-_KEPT_OF_CALL:]
            self._tails[key] = tail
            self._kept += len(tail) - len(before)
            if self._show is not None:
                self._show.add(name.output_id, entry)
        while self._kept > _KEPT_IN_ALL:
            self._kept -= len(self._tails.popitem(last=False)[1])

    def _use(self, result_id: str, nbytes: int) -> None:
        """Have the cluster forget results, but for the last ones: others may look at them."""
        if self._forget is None:
            return
        self._used.append((result_id, nbytes))
        self._used_bytes += nbytes
        while self._used_bytes > _KEPT_IN_ALL:
            oldest, size = self._used.popleft()
            self._used_bytes -= size
            self._forget(oldest)


def _with_ends(parts: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The parts of a call that has ended: what it has begun of a line is a line."""
    last = dict(parts)
    return [*parts, *((one, "\n") for one, text in last.items() if not text.endswith("\n"))]


_MOST_KNOWN: Final = 100_000


def catch_up() -> None:
    """Have shown what was heard so far; for whoever has just waited for values."""
    for live in list(_behind):
        live.catch_up(_CATCH_UP_S)
