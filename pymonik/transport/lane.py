"""`Lane`: tasks and news over the direct socket, without a thread of its own.

Two connections, read and written by the engine's thread when the system says that it can: tasks go
out on one in the order in which they were sent, and the ends of results come in on the other. So a
call costs two changes of threads on its way out, and two on its way back.
"""

from __future__ import annotations

import socket
from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec

from pymonik.errors import UnavailableError
from pymonik.session.events import Answered, Send, StreamLost, StreamUp
from pymonik.transport.direct import DirectError
from pymonik.transport.grpc_errors import to_error
from pymonik.wire.embedded import (
    COMPLETED,
    RESULTS,
    AnswerKind,
    DirectAnswer,
    DirectRequest,
    answer_decoder,
    ended_decoder,
)
from pymonik.wire.framing import Inbox, framed
from pymonik.wire.status import Code

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pymonik.errors import ControlPlaneError
    from pymonik.runs.live import Live
    from pymonik.session.engine import Poller
    from pymonik.transport.batch import BatchSender, Part
    from pymonik.transport.control_plane import ControlPlane
    from pymonik.wire.embedded import Ended

_WRITABLE = 4  # POLLOUT; the engine's poller speaks in masks of poll(2)


class _Wire:
    """One connection that never blocks.

    Args:
        path: Of the socket.
        poller: Says when there is something to read, or room to write.
        frame: Takes what comes.
        lost: Called once, when the connection is broken.

    Raises:
        OSError: It cannot be made now.
    """

    def __init__(
        self,
        path: str,
        poller: Poller,
        frame: Callable[[DirectAnswer], None],
        lost: Callable[[str], None],
    ) -> None:
        self._poller = poller
        self._frame = frame
        self._lost = lost
        self._out: deque[memoryview] = deque()  # frames for which there was no room, in their order
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.setblocking(False)  # noqa: FBT003 - positional only
            self._socket.connect(path)
        except BaseException:
            self._socket.close()
            raise
        self._inbox = Inbox(self._socket)
        self._fd = self._socket.fileno()
        poller.register(self._fd, self._ready)

    def send(self, request: DirectRequest) -> None:
        """Write now what there is room for, the rest when there is."""
        self._out.append(memoryview(framed(request)))
        if len(self._out) == 1:  # else the poller tells when the first of them can go on
            self._write()

    def close(self) -> None:
        """Close the connection; nobody is told."""
        if self._fd >= 0:
            self._poller.unregister(self._fd)
            self._socket.close()
            self._fd = -1

    def _ready(self, mask: int) -> None:
        if mask & _WRITABLE:
            self._write()
        if mask & ~_WRITABLE and self._fd >= 0:
            self._read()

    def _write(self) -> None:
        try:
            while self._out:
                written = self._socket.send(self._out[0])
                if written == len(self._out[0]):
                    self._out.popleft()
                else:
                    self._out[0] = self._out[0][written:]
        except BlockingIOError:
            self._poller.register(self._fd, self._ready, writable=True)
        except OSError as error:
            self._break(str(error))
        else:
            self._poller.register(self._fd, self._ready)

    def _read(self) -> None:
        try:
            is_open = self._inbox.pump()
            # `_frame` may close this wire: what else has come is then nobody's.
            while self._fd >= 0 and (answer := self._inbox.take(answer_decoder)) is not None:
                self._frame(answer)
        except BlockingIOError:
            return
        except (OSError, msgspec.MsgspecError) as error:
            self._break(str(error))
            return
        if not is_open:
            self._break("the connection was closed")

    def _break(self, why: str) -> None:
        if self._fd >= 0:
            self.close()
            self._lost(why)


class Lane:
    """Sends tasks whose inputs are known, and hears of results.

    Args:
        path: Of the direct socket.
        session_id: Whose results.
        plane: Knows the messages.
        sender: Makes requests of tasks.
        live: Hears of what running tasks tell.
    """

    def __init__(
        self,
        path: Path,
        session_id: str,
        plane: ControlPlane,
        sender: BatchSender,
        live: Live | None = None,
    ) -> None:
        self._path = str(path)
        self._session_id = session_id
        self._plane = plane
        self._sender = sender
        self._live = live
        self._post: Callable[[Any], None] = _drop
        self._poller: Poller | None = None
        self._tasks: _Wire | None = None
        self._news: _Wire | None = None
        self._expected: deque[tuple[Send, Part, bool]] = deque()  # and whether it is the last part
        self._failed: ControlPlaneError | None = None  # of an earlier part of the same request

    def start(self, post: Callable[[Any], None], poller: Poller) -> None:
        """Have events posted."""
        self._post, self._poller = post, poller

    def send(self, request: Send) -> None:
        """Submit tasks; answered when the last of them is."""
        try:
            wire = self._tasks or self._connect(self._answer, self._tasks_lost)
        except OSError as error:
            self._post(Answered(request, error=UnavailableError("SubmitTasks", str(error))))
            return
        self._tasks = wire
        parts = self._sender.quick_parts(request.tasks)
        for number, part in enumerate(parts, 1):
            self._expected.append((request, part, number == len(parts)))
        for part in parts:
            # Before the first byte leaves: should the connection break, nobody knows what was
            # carried out.
            for task in part.tasks:
                task.is_doubtful = True
            submission = self._plane.direct_submission(
                self._session_id, part.options, part.new, keeps_payloads=part.repeats
            )
            wire.send(submission)

    def subscribe(self) -> None:
        """Hear of results from now on."""
        try:
            self._news = self._connect(self._heard, self._news_lost)
        except OSError as error:
            self._news_lost(str(error))
            return
        self._news.send(DirectRequest(RESULTS, msgspec.msgpack.encode(self._session_id)))

    def close(self) -> None:
        """Hear no more."""
        for wire in (self._news, self._tasks):
            if wire is not None:
                wire.close()
        self._news = None
        self._tasks_lost("the session is over")

    def _connect(self, frame: Callable[[DirectAnswer], None], lost: Callable[[str], None]) -> _Wire:
        assert self._poller is not None
        return _Wire(self._path, self._poller, frame, lost)

    def _answer(self, answer: DirectAnswer) -> None:
        # A connection answers its requests in their order, so answers need no number.
        request, part, is_last = self._expected.popleft()
        for task in part.tasks:
            task.is_doubtful = False
        if answer.code:
            refused = DirectError(Code(answer.code), answer.details)
            self._failed = self._failed or to_error("SubmitTasks", refused)
        else:
            ids = self._plane.submitted(answer.message)
            for task, task_id in zip(part.tasks, ids, strict=True):
                task.give_task_id(task_id)
        if is_last:
            error, self._failed = self._failed, None
            self._post(Answered(request, [], error))

    def _tasks_lost(self, why: str) -> None:
        self._tasks, self._failed = None, None
        requests = dict.fromkeys(request for request, _, _ in self._expected)
        self._expected.clear()
        for request in requests:
            self._post(Answered(request, error=UnavailableError("SubmitTasks", why)))

    def _heard(self, answer: DirectAnswer) -> None:
        if answer.code or answer.kind is AnswerKind.END:
            if self._news is not None:
                self._news.close()
            self._news_lost(answer.details)
        elif answer.kind is AnswerKind.UP:
            self._post(StreamUp())
        else:
            self._post(self._without_live(ended_decoder.decode(answer.message)))

    def _without_live(self, ended: list[Ended]) -> list[Ended]:
        """The ends of values; what is told of running tasks goes to who hears of that."""
        if not any(one.name for one in ended):
            return ended
        for one in ended:
            if one.name and one.status == COMPLETED and self._live is not None:
                self._live.heard(one.name, one.result_id, one.data)
        return [one for one in ended if not one.name]

    def _news_lost(self, why: str) -> None:
        self._news = None
        self._post(StreamLost(UnavailableError("Results", why)))


def _drop(_: object) -> None:
    """Drop a message that comes before anybody listens."""
