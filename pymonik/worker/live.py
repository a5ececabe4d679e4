"""How what a task prints and reports gets out of a worker while the task runs.

::

    this worker reaches the control plane ──► it is a client: a result exists at once     is live
    it does not, or is refused            ──► reports go with the end of the task         is not

What the agent is given exists only once the task has ended well. Nobody waits for the control
plane: a thread of its own sends, and what cannot be sent goes the other way.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from pymonik.errors import ControlPlaneError, UnavailableError
from pymonik.executor.frames import Created
from pymonik.wire.call import NEW
from pymonik.wire.live import REPORT_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymonik.executor.frames import Run

logger = logging.getLogger(__name__)

MOST_BYTES: Final = 10 * 1024 * 1024  # of what a task prints and reports
_MOST_WAITING: Final = 1000  # results that are to be sent
_SETTLE_S: Final = 2.0  # that the end of a task waits for what it has told before
_PAUSES_S: Final = (0.1, 0.5, 1.0)  # between attempts while nobody answers
_BOARD_S: Final = 1.0  # between two looks at the board


class LiveWay:
    """A `pymonik.executor.live_log.Way` out of this worker, which runs one task at a time.

    Args:
        create: Creates a result as a client of the control plane; ``None`` where there is none.
    """

    def __init__(self, create: Callable[[str, str, bytes], object] | None = None) -> None:
        self._create = create
        self._waiting: queue.Queue[tuple[str, str, bytes]] = queue.Queue(_MOST_WAITING)
        self._left: list[tuple[str, bytes]] = []  # reports for the end of the task
        self._left_bytes = 0
        self._lock = threading.Lock()
        self._read: Callable[[str], bytes | None] = _no_board
        self._read_at = 0.0
        if create is not None:
            threading.Thread(target=self._send, name="live", daemon=True).start()

    @property
    def is_live(self) -> bool:
        """Whether what a task tells is heard while it runs."""
        return self._create is not None

    def __call__(self, run: Run, name: str, data: bytes) -> None:
        """Tell something of the running task."""
        if self._create is not None:
            try:
                self._waiting.put_nowait((run.session_id, name, data))
            except queue.Full:
                self._leave(name, data)
        else:
            self._leave(name, data)

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
            session_id, name, data = self._waiting.get()
            try:
                if not self._was_sent(session_id, name, data):
                    self._leave(name, data)
            except Exception:  # the thread goes on: others wait for it
                logger.exception("what a task has told could not be sent")
            finally:
                self._waiting.task_done()

    def _was_sent(self, session_id: str, name: str, data: bytes) -> bool:
        create = self._create
        for pause_s in (*_PAUSES_S, None):
            if create is None:
                return False
            try:
                create(session_id, name, data)
            except UnavailableError as error:
                if pause_s is None:
                    logger.warning("the control plane does not answer: %s", error)
                    return False
                time.sleep(pause_s)
            except ControlPlaneError as error:  # this worker may not
                logger.warning("tasks are not live: %s", error)
                self._create = None
                return False
            else:
                return True
        return False


def _no_board(_: str) -> bytes | None:
    return None


def client_of(endpoint: str, certificates: dict[str, Any]) -> Callable[[str, str, bytes], object]:
    """What creates results at a control plane.

    Raises:
        ControlPlaneError: It does not answer within two seconds.
        ConfigError: The endpoint or a certificate cannot be used.
    """
    from pymonik.transport.channel import open_channel
    from pymonik.transport.config import ClusterConfig
    from pymonik.transport.control_plane import ControlPlane

    channel = open_channel(ClusterConfig(endpoint, **certificates))
    plane = ControlPlane(channel, endpoint=endpoint, timeout_s=10.0, patience_s=0.0)
    try:
        plane.connect(2.0)
    except BaseException:
        channel.close()
        raise
    return lambda session_id, name, data: plane.create_results(session_id, [(name, data)])
