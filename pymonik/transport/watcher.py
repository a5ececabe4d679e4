"""How results ended: one event stream for a session, and lists where events may be missing.

::

    stream thread   news ──► completed: at once
                         ──► aborted: to the checker
    checker thread  ListResults of what is pending: after each (re)connection, and now and then
                    ListTasks of the owners of aborted results ──► the exception

Events come twice, in any order, and not at all while the stream is down; so an event is only news,
and a list is the truth. When nothing answers for long enough, what is pending fails.
"""

from __future__ import annotations

import logging
import threading
import time
from itertools import islice
from typing import TYPE_CHECKING, Any

import grpc

from pymonik.errors import ControlPlaneError, UnavailableError
from pymonik.transport import aborts
from pymonik.transport.errors import code_of
from pymonik.transport.messages import ABORTED, COMPLETED, DELETED
from pymonik.wire.embedded import Ended

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pymonik.session.forgetting import Hold
    from pymonik.session.result import ResultState
    from pymonik.transport.control_plane import ControlPlane
    from pymonik.transport.messages import ResultInfo

_log = logging.getLogger(__name__)

_EARLY_CHECKS_S = (0.1, 0.5, 2.0)  # while it is not known whether the stream is up
_SLOW_CHECK_S = 20.0  # while the stream is up and silent
_LONGEST_PAUSE_S = 2.0
_SIGN_OF_LIFE = 100  # results to ask about, when the stream is silent: is somebody there?
_NO_STREAM = frozenset({grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.PERMISSION_DENIED})


class Watcher:
    """Ends the states of a session as the control plane says."""

    def __init__(
        self,
        plane: ControlPlane,
        session_id: str,
        *,
        polling_s: float | None = None,
        patience_s: float = 30.0,
        is_alive: Callable[[], bool] | None = None,
        hold: Callable[[str], Hold] | None = None,
    ) -> None:
        """Nothing runs before `start`.

        Args:
            plane: Who is asked.
            session_id: Whose results.
            polling_s: Seconds between lists; without it, events tell.
            patience_s: Seconds without any answer after which pending results fail.
            is_alive: Whether the process of an embedded cluster runs; if not, nobody waits.
            hold: Gives the hold on data that are there, where those that nobody holds are deleted.
        """
        self._plane = plane
        self._session_id = session_id
        self._polling_s = polling_s
        self._patience_s = patience_s
        self._is_alive = is_alive or (lambda: True)
        self._hold = hold
        self._changed = threading.Condition()
        self._pending: dict[str, ResultState] = {}
        self._aborted: dict[str, None] = {}
        self._unseen: dict[str, None] = {}  # watched while the stream may not have been up
        self._stream: Any = None
        self._stream_up = False
        self._check_at: float | None = None
        self._down_since: float | None = None
        self._stopped = False
        self._stop_error: BaseException | None = None
        self._early = 0
        self._threads = [threading.Thread(target=self._check, name="pymonik-checker", daemon=True)]
        if polling_s is None:
            self._threads.append(
                threading.Thread(target=self._listen, name="pymonik-events", daemon=True)
            )

    # -- used by the session -------------------------------------------------------------------

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def watch(self, states: Iterable[ResultState], *, unseen: bool = False) -> None:
        """End these states, which have their ids, when their results end.

        Args:
            states: One for each result.
            unseen: Whether the results are older than the states, so that their events are past.
        """
        twins = []
        with self._changed:
            for state in states:
                if state.is_final or state.result_id is None:
                    continue
                known = self._pending.setdefault(state.result_id, state)
                if known is not state:
                    twins.append((known, state))
                if unseen or not self._stream_up:
                    self._unseen[state.result_id] = None
            if self._unseen:
                self._schedule(0.0 if unseen and self._stream_up else self._next_early())
            elif self._pending:
                self._schedule(_SLOW_CHECK_S)  # a stream may be up though nobody is behind it
            error = self._stop_error
        for known, state in twins:
            state.end_with(known)
        if error is not None:  # nobody would end them
            self._fail_all(lambda _: error)

    def stop(self, error: BaseException | None = None) -> None:
        """End the threads; what is pending fails with ``error``, if one is given."""
        with self._changed:
            self._stopped = True
            stream = self._stream
            self._changed.notify_all()
        if stream is not None:
            stream.cancel()
        for thread in self._threads:
            if thread is not threading.current_thread() and thread.is_alive():
                thread.join(5.0)
        if error is not None:
            with self._changed:
                self._stop_error = error
            self._fail_all(lambda _: error)

    def known(self, result_id: str) -> ResultState | None:
        """The state that stands for a result already, if it is pending."""
        with self._changed:
            return self._pending.get(result_id)

    def pending(self) -> list[ResultState]:
        """What has not ended."""
        with self._changed:
            return list(self._pending.values())

    # -- stream --------------------------------------------------------------------------------

    def _listen(self) -> None:
        pause = 0.05
        while not self._is_stopped():
            started = time.monotonic()
            try:
                self._read_events()
                error: Any = None
            except grpc.RpcError as broken:
                error = broken
            if self._is_stopped():
                return
            if error is not None and code_of(error) in _NO_STREAM:
                _log.warning("no event stream (%s); results are polled", code_of(error).name)
                with self._changed:
                    self._polling_s = 0.5
                    self._schedule(0.0)
                return
            self._stream_ended(error)
            pause = 0.05 if time.monotonic() - started > 5 else min(pause * 2, _LONGEST_PAUSE_S)
            with self._changed:
                self._changed.wait_for(lambda: self._stopped, pause)

    def _read_events(self) -> None:
        stream = self._plane.results(self._session_id)
        with self._changed:
            if self._stopped:
                stream.cancel()
                return
            self._stream = stream
        stream.wait_until_up()
        self._stream_is_up()
        for ended in stream:
            self._tell(ended)

    def _stream_is_up(self) -> None:
        with self._changed:
            self._stream_up = True
            if self._unseen:
                self._schedule(0.0)

    def _stream_ended(self, error: Any) -> None:
        _log.debug("the event stream ended: %s", error)
        with self._changed:
            self._stream_up = False
            self._early = 0
            self._unseen = dict.fromkeys(self._pending)
            self._schedule(0.0)

    def _is_stopped(self) -> bool:
        return self._stopped

    # -- what is known -------------------------------------------------------------------------

    def _tell(self, ended: Sequence[Ended]) -> None:
        completed: list[ResultState] = []
        with self._changed:
            for one in ended:
                if one.status == COMPLETED:
                    self._unseen.pop(one.result_id, None)
                    state = self._pending.pop(one.result_id, None)
                    if state is not None:
                        state.news = one.data
                        if one.data is None and self._hold is not None:
                            state.holds = (self._hold(one.result_id),)
                        completed.append(state)
                elif one.status in (ABORTED, DELETED) and one.result_id in self._pending:
                    self._aborted[one.result_id] = None
            if self._aborted:
                self._schedule(0.0)
        for state in completed:
            state.complete()

    def _fail(self, result_id: str, error: BaseException) -> None:
        with self._changed:
            state = self._pending.pop(result_id, None)
            self._unseen.pop(result_id, None)
            self._aborted.pop(result_id, None)
        if state is not None:
            state.fail(error)

    def _fail_all(self, error: Callable[[ResultState], BaseException]) -> None:
        for state in self.pending():
            self._fail(state.result_id or "", error(state))

    # -- checker -------------------------------------------------------------------------------

    def _schedule(self, delay_s: float) -> None:
        """Look after ``delay_s`` at the latest; the lock is held."""
        at = time.monotonic() + delay_s
        if self._check_at is None or at < self._check_at:
            self._check_at = at
            self._changed.notify_all()

    def _next_early(self) -> float:
        if self._polling_s is not None:
            return self._polling_s
        return _EARLY_CHECKS_S[self._early] if self._early < len(_EARLY_CHECKS_S) else 5.0

    def _check(self) -> None:
        while True:
            with self._changed:
                while not self._stopped and not self._is_due():
                    self._changed.wait(self._time_left())
                if self._stopped:
                    return
                self._check_at = None
                ids = self._to_list()
                self._early += 1
            self._look(ids)
            with self._changed:
                if self._pending:
                    again = self._unseen or self._polling_s is not None
                    self._schedule(self._next_early() if again else _SLOW_CHECK_S)

    def _is_due(self) -> bool:
        return self._check_at is not None and time.monotonic() >= self._check_at

    def _time_left(self) -> float:
        if self._check_at is None:
            return _SLOW_CHECK_S
        return max(0.0, self._check_at - time.monotonic())

    def _to_list(self) -> list[str]:
        """The ids to look at: those with news, and those whose news may have been missed."""
        for one in [one for one, state in self._pending.items() if state.is_final]:
            del self._pending[one]  # refused after it was watched
            self._unseen.pop(one, None)
            self._aborted.pop(one, None)
        if self._aborted and self._stream_up and not self._unseen:
            return list(self._aborted)
        if self._unseen and self._stream_up:
            ids = list(self._unseen)
            self._unseen.clear()  # the stream tells of whatever happens from now on
            return list(dict.fromkeys([*self._aborted, *ids]))
        if self._stream_up and self._polling_s is None:
            return list(islice(self._pending, _SIGN_OF_LIFE))
        return list(self._pending)

    def _look(self, ids: list[str]) -> None:
        if not ids:
            return
        try:
            self._reconcile(ids)
        except UnavailableError as error:
            self._unreachable(ids, error)
        except ControlPlaneError as error:
            _log.warning("results cannot be listed: %s", error)
            self._unreachable(ids, error)
        else:
            self._down_since = None

    def _reconcile(self, ids: list[str]) -> None:
        known = self._plane.list_results(ids)
        gone = []
        for result_id in ids:
            info = known.get(result_id)
            if info is None or info.status in (ABORTED, DELETED):
                gone.append(result_id)
            elif info.status == COMPLETED:
                self._tell([Ended(result_id, COMPLETED)])
        if gone:
            self._explain(gone, known)

    def _explain(self, ids: list[str], known: dict[str, ResultInfo]) -> None:
        owners = {known[one].owner_task_id for one in ids if one in known}
        tasks = self._plane.list_tasks(sorted(owners - {"", self._session_id}))
        for one in ids:
            info = known.get(one)
            error: BaseException
            if info is None or info.status == DELETED:
                error = aborts.deleted(one)
            else:
                task = tasks.get(info.owner_task_id)
                error = aborts.why(task, one)
            self._fail(one, error)

    def _unreachable(self, ids: list[str], error: ControlPlaneError) -> None:
        now = time.monotonic()
        self._down_since = self._down_since or now
        with self._changed:
            self._unseen.update(dict.fromkeys(one for one in ids if one in self._pending))
        alive = self._is_alive()
        if alive and now - self._down_since < self._patience_s:
            return
        what = "did not answer for a while" if alive else "has ended"
        lost = UnavailableError(
            error.operation, f"the control plane at {self._plane.endpoint} {what}: {error.detail}"
        )
        lost.__cause__ = error
        self._fail_all(lambda _: lost)
