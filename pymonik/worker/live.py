"""How what a task prints and reports gets out of a worker while the task runs.

::

    this worker reaches the control plane ──► it is a client: a result exists at once     is live
    it does not, or is refused            ──► reports go with the end of the task         is not

What the agent is given exists only once the task has ended well. Nobody waits for the control
plane: a thread of its own sends, and what cannot be sent goes the other way.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from pymonik.errors import ControlPlaneError, UnavailableError
from pymonik.executor.frames import Created
from pymonik.wire.call import NEW
from pymonik.wire.live import REPORT_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pymonik.executor.frames import Run

logger = logging.getLogger(__name__)

MOST_BYTES: Final = 10 * 1024 * 1024  # of what one task prints, and of what it reports
_MOST_WAITING: Final = 1000  # results that wait to be sent; what comes after goes the other way
_SETTLE_S: Final = 2.0  # seconds that the end of a task waits for what it has told before
_PAUSES_S: Final = (0.1, 0.5, 1.0)  # seconds between attempts while nobody answers
_BOARD_S: Final = 1.0  # seconds between two looks at the board, each of which is a request


class Client(Protocol):
    """What a worker does at a control plane that it reaches; see `pymonik.worker.as_client`."""

    def create(self, session_id: str, name: str, data: bytes) -> str:
        """A result that is there at once; its id."""

    def replace(self, session_id: str, result_id: str, data: bytes) -> None:
        """Give a result other data."""

    def forget(self, result_ids: Sequence[str]) -> None:
        """Delete the data of results."""


class _Told(NamedTuple):
    """Something that a task has told."""

    session_id: str
    name: str
    data: bytes


class _Forgotten(NamedTuple):
    """Results that a task which has ended well leaves behind."""

    result_ids: Sequence[str]


class LiveWay:
    """A `pymonik.executor.live_log.Way` out of this worker, which runs one task at a time.

    Args:
        client: At the control plane; ``None`` where this worker does not reach it.

    Attributes:
        client: The same, until it turns out that this worker may not do what it is there for.
    """

    def __init__(self, client: Client | None = None) -> None:
        self.client = client
        self._waiting: queue.Queue[_Told | _Forgotten] = queue.Queue(_MOST_WAITING)
        # Names and data of reports for the end of the task.
        self._left: list[tuple[str, bytes]] = []
        self._left_bytes = 0
        self._lock = threading.Lock()  # of both: the thread that sends leaves some too
        self._read: Callable[[str], bytes | None] = _no_board
        self._read_at = 0.0
        if client is not None:
            threading.Thread(target=self._send, name="live", daemon=True).start()

    @property
    def is_live(self) -> bool:
        """Whether what a task tells is heard while it runs."""
        return self.client is not None

    def __call__(self, run: Run, name: str, data: bytes) -> None:
        """Tell something of the running task."""
        if self.client is not None:
            try:
                self._waiting.put_nowait(_Told(run.session_id, name, data))
            except queue.Full:
                self._leave(name, data)
        else:
            self._leave(name, data)

    def forget(self, result_ids: Sequence[str]) -> None:
        """Delete data that nobody needs any more, if this worker can: an agent cannot."""
        if self.client is not None:
            with contextlib.suppress(queue.Full):  # then the data stay as long as the session
                self._waiting.put_nowait(_Forgotten(result_ids))

    def begin(self, read: Callable[[str], bytes | None]) -> None:
        """A task begins.

        Args:
            read: Gives the data of a result.
        """
        with self._lock:
            self._left, self._left_bytes = [], 0
        self._read, self._read_at = read, 0.0

    def read_board(self, _run: Run, result_id: str) -> bytes | None:
        """What the program tells its running tasks; ``None`` where nobody was asked now."""
        now = time.monotonic()
        if now - self._read_at < _BOARD_S:
            return None
        self._read_at = now
        return self._read(result_id)

    def end(self) -> list[Created]:
        """The task has ended: what is left to be told with its result."""
        end = time.monotonic() + _SETTLE_S
        with self._waiting.all_tasks_done:
            while self._waiting.unfinished_tasks and (left_s := end - time.monotonic()) > 0:
                self._waiting.all_tasks_done.wait(left_s)
        with self._lock:
            left, self._left = self._left, []
        return [
            Created(stand_in=f"{NEW}live-{number}", name=name, data=data)
            for number, (name, data) in enumerate(left)
        ]

    def _leave(self, name: str, data: bytes) -> None:
        """What a task has printed is in its result anyway."""
        if not name.startswith(REPORT_PREFIX):
            return
        with self._lock:
            self._left_bytes += len(data)
            if self._left_bytes <= MOST_BYTES:
                self._left.append((name, data))

    def _send(self) -> None:
        while True:
            one = self._waiting.get()
            try:
                if not self._was_sent(one) and isinstance(one, _Told):
                    self._leave(one.name, one.data)
            except Exception:  # the thread goes on: others wait for it
                logger.exception("what a task has told could not be sent")
            finally:
                self._waiting.task_done()

    def _was_sent(self, one: _Told | _Forgotten) -> bool:
        client = self.client
        for pause_s in (*_PAUSES_S, None):
            if client is None:
                return False
            try:
                if isinstance(one, _Told):
                    client.create(*one)
                else:
                    client.forget(one.result_ids)
            except UnavailableError as error:
                if pause_s is None:
                    logger.warning("the control plane does not answer: %s", error)
                    return False
                time.sleep(pause_s)
            except ControlPlaneError as error:  # this worker is not allowed to
                if isinstance(one, _Told):
                    logger.warning("tasks are not live: %s", error)
                    self.client = None
                return False
            else:
                return True
        return False


def _no_board(_: str) -> bytes | None:
    return None
