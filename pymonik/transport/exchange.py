"""`Exchange`: what the machine of a session asks for, done in threads.

::

    requests ──► waiting ──► up to ten threads ──► control plane ──► answers
             └──► the lane, on the machine of the cluster (see `pymonik.transport.lane`)

Threads come when there is something to do and leave when there is nothing.
"""

from __future__ import annotations

import logging
import queue
import threading
from typing import TYPE_CHECKING, Any

import msgspec

from pymonik.code.exceptions import exception_of
from pymonik.code.opened_result import OpenedResult
from pymonik.environments.missing import advised
from pymonik.errors import CommandError, UnavailableError
from pymonik.session import events, own_threads
from pymonik.transport import aborts
from pymonik.transport.grpc_errors import code_of, rpc_errors, to_error
from pymonik.transport.turns import Turns
from pymonik.wire.embedded import ABORTED, COMPLETED, DELETED
from pymonik.wire.status import Code

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pymonik.session.engine import Poller
    from pymonik.transport.batch import BatchSender, Refused
    from pymonik.transport.control_plane import ControlPlane
    from pymonik.transport.data import DataStore
    from pymonik.transport.lane import Lane
    from pymonik.transport.messages import ResultInfo
    from pymonik.transport.news import News
    from pymonik.wire.call import Origin
    from pymonik.wire.failure import Failure

_log = logging.getLogger(__name__)

_MOST_THREADS = 10  # requests of one session at the same time
_IDLE_S = 1.0  # seconds without a request after which a thread leaves
# Answers after which no further attempt at a stream is made: the machine asks for lists instead.
_NO_STREAM = frozenset({Code.UNIMPLEMENTED, Code.PERMISSION_DENIED})


class Exchange:
    """Implements `pymonik.session.engine.Channel`.

    Args:
        plane: Its requests fail at once: the machine repeats them.
        session_id: Of the session.
        sender: Submits tasks.
        data: Of the session.
        nonces: Of the clients of the session: they tell which failures in texts are real.
        lane: For small tasks and news, on the machine of the cluster.
        is_alive: Whether the process of an embedded cluster runs; if not, nobody waits.
        saw: Is told where a call failed, as a result tells where it was made.
    """

    def __init__(
        self,
        plane: ControlPlane,
        session_id: str,
        sender: BatchSender,
        data: DataStore,
        *,
        nonces: Sequence[str] = (),
        lane: Lane | None = None,
        is_alive: Callable[[], bool] = lambda: True,
        saw: Callable[[Origin | None], None] = lambda _: None,
    ) -> None:
        self._saw = saw
        self._plane = plane
        self._session_id = session_id
        self._sender = sender
        self._turns = Turns()
        self._data = data
        self._nonces = nonces
        self._lane = lane
        self._is_alive = is_alive
        self._post: Callable[[Any], None] = lambda _: None
        self._waiting: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._lock = threading.Lock()  # of the numbers; taken by our own threads only
        self._threads = 0
        self._jobs = 0  # number of jobs that wait or are being done
        self._stream: News | None = None
        self._is_closed = False

    def start(self, post: Callable[[Any], None], poller: Poller) -> None:
        """Have answers and news posted."""
        self._post = post
        if self._lane is not None:
            self._lane.start(self._post_or_end, poller)

    def request(self, request: events.Request) -> None:
        """Begin it."""
        if isinstance(request, events.Send) and request.is_quick and self._lane is not None:
            self._lane.send(request)
        elif isinstance(request, events.Send):
            self._send(request)
        elif isinstance(request, events.Subscribe):
            self._subscribe()
        elif isinstance(request, events.Read) and len(request.ids) > 1 and self._lane is None:
            self._read_side_by_side(request)
        else:
            self._do(lambda: self._answer(request))

    def close(self) -> None:
        """End the stream."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._lane is not None:
            self._lane.close()
        if self._stream is not None:
            self._stream.cancel()
        self._plane.rest()  # values can be fetched as long as there are handles

    # -- threads -------------------------------------------------------------------------------

    def _do(self, job: Callable[[], None]) -> None:
        with self._lock:
            self._jobs += 1
            self._waiting.put(job)
            if self._jobs <= self._threads or self._threads >= _MOST_THREADS:
                return
            self._threads += 1
        try:
            threading.Thread(target=self._run, name="pymonik-requests", daemon=True).start()
        except RuntimeError:  # no thread left, or the interpreter ends
            with self._lock:
                self._threads -= 1
                # Threads that are there do it later; without any, nobody would.
                if self._threads:
                    return
            raise

    def _run(self) -> None:
        own_threads.mark()
        while job := self._next():
            job()
            # A job refers to arguments and handles, which would stay until the next one comes.
            del job
            with self._lock:
                self._jobs -= 1

    def _next(self) -> Callable[[], None] | None:
        try:
            return self._waiting.get(timeout=_IDLE_S)
        except queue.Empty:
            pass
        # Jobs are put with the lock held, so that one which comes at this moment is either seen
        # here, or finds that this thread is gone and starts another.
        with self._lock:
            if not self._waiting.empty():
                return self._waiting.get()
            self._threads -= 1
        return None

    # -- requests ------------------------------------------------------------------------------

    def _send(self, request: events.Send) -> None:
        turn = self._turns.next()  # here, since the threads begin in any order

        def send() -> list[Refused]:
            try:
                return self._sender.send(request.tasks, self._created, turn)
            finally:
                turn.end()

        self._do(lambda: self._answer(request, send))

    def _answer(self, request: events.Request, perform: Callable[[], object] | None = None) -> None:
        try:
            value = self._perform(request) if perform is None else perform()
            answer = events.Answered(request, value, _silence(value))
        except BaseException as error:  # noqa: BLE001 - whoever asked must learn why
            answer = events.Answered(request, error=error)
        self._post_or_end(answer)

    def _post_or_end(self, event: Any) -> None:
        """Post an event; if nobody answers since the cluster has ended, nobody ever will."""
        error = getattr(event, "error", None)
        if isinstance(error, UnavailableError) and not self._is_closed and not self._is_alive():
            detail = f"the control plane at {self._plane.endpoint} has ended: {error.detail}"
            gone = UnavailableError(error.operation, detail)
            gone.__cause__ = error
            self._post(events.Gone(gone))
            return
        self._post(event)

    def _perform(self, request: events.Request) -> object:
        plane = self._plane
        match request:
            case events.Look():
                return self._looked(request.ids)
            case events.Read():
                return [self._outcome(one, request.most_bytes) for one in request.ids]
            case events.Explain():
                return _explained(request.result_id, request.opened)
            case events.Store():
                return self._data.store(request.items)
            case events.StoreFiles():
                return self._data.store_files(request.files)
            case events.Download():
                plane.download_into(self._session_id, request.result_id, request.file)
            case events.CancelTasks():
                self._cancel(request.tasks)
            case events.CountWorkers():
                partition = request.partition or plane.session_partitions(self._session_id)[0]
                return plane.partition_size(partition)
            case events.ListPartitions():
                return plane.session_partitions(self._session_id)
            case events.Delete():
                plane.delete_data(request.ids)
            case events.End():
                end = plane.cancel_session if request.is_cancelled else plane.close_session
                end(self._session_id)
            case _:
                raise TypeError(f"{type(request).__name__} is no request that has an answer")
        return None

    def _created(self, tasks: Sequence[Any]) -> None:
        self._post(events.Created(tasks))

    def _cancel(self, tasks: Any) -> None:
        # A retry, or a delegation, has made another task the owner since.
        infos = self._plane.list_results(list(tasks))
        owners = {info.owner_task_id for info in infos.values()}
        owners.update(tasks.values())
        self._plane.cancel_tasks(sorted(owners - {"", self._session_id}))

    # -- results -------------------------------------------------------------------------------

    def _looked(self, ids: Sequence[str]) -> events.Looked:
        known = self._plane.list_results(ids)
        gone = (ABORTED, DELETED)
        lost = [one for one in ids if one not in known or known[one].status in gone]
        completed = [one for one in ids if one in known and known[one].status == COMPLETED]
        return self._why(lost, known, completed) if lost else events.Looked(completed, {})

    def _why(
        self, ids: Sequence[str], known: dict[str, ResultInfo], completed: Sequence[str]
    ) -> events.Looked:
        owners = {known[one].owner_task_id for one in ids if one in known}
        tasks = self._plane.list_tasks(sorted(owners - {"", self._session_id}))
        errors: dict[str, BaseException] = {}
        seconds: dict[str, float] = {}
        for one in ids:
            info = known.get(one)
            if info is None or info.status == DELETED:
                errors[one] = aborts.deleted(one)
                continue
            task = tasks.get(info.owner_task_id)
            nonce = aborts.nonce_of(task, self._nonces)
            errors[one] = aborts.why(task, one, nonce)
            told = aborts.told_by(task, nonce)
            if told is not None:
                self._saw(told.origin)
                if told.seconds:
                    seconds[one] = told.seconds
        return events.Looked(completed, errors, seconds)

    def _read_side_by_side(self, request: events.Read) -> None:
        """Each of them is a request: ten of them wait for their answers at the same time."""
        outcomes: dict[int, object] = {}

        def read(index: int) -> None:
            outcome = self._outcome(request.ids[index], request.most_bytes)
            with self._lock:
                outcomes[index] = outcome
                is_last = len(outcomes) == len(request.ids)
            if is_last:
                value = [outcomes[i] for i in range(len(request.ids))]
                self._post_or_end(events.Answered(request, value, _silence(value)))

        for index in range(len(request.ids)):
            self._do(lambda index=index: read(index))  # type: ignore[misc]

    def _outcome(self, result_id: str, most_bytes: int | None) -> object:
        try:
            return self._contents(result_id, most_bytes)
        except BaseException as error:  # noqa: BLE001 - whoever asked must learn why
            return error

    def _contents(self, result_id: str, most_bytes: int | None) -> events.Contents | None:
        data = self._data.read(result_id, most_bytes)
        return None if data is None else _explained(result_id, OpenedResult(data))

    # -- news ----------------------------------------------------------------------------------

    def _subscribe(self) -> None:
        if self._lane is not None:
            self._lane.subscribe()
        else:
            threading.Thread(target=self._listen, name="pymonik-events", daemon=True).start()

    def _listen(self) -> None:
        own_threads.mark()
        try:
            stream = self._plane.results(self._session_id)
            self._stream = stream
            if self._is_closed:
                stream.cancel()
            stream.wait_until_up()
            self._post(events.StreamUp())
            for ended in stream:
                self._post(list(ended))
        except rpc_errors() as error:
            is_refused = code_of(error) in _NO_STREAM
            self._post_or_end(events.StreamLost(to_error("GetEvents", error), is_refused))
        except BaseException as error:  # noqa: BLE001 - the machine must learn that nobody listens
            self._post(events.StreamLost(error))
        else:
            self._post(events.StreamLost(None))


def _silence(value: object) -> UnavailableError | None:
    """The error of one of several requests that were answered together, if nobody did answer."""
    outcomes = value if isinstance(value, list) else ()
    return next((one for one in outcomes if isinstance(one, UnavailableError)), None)


def _explained(result_id: str, opened: OpenedResult) -> events.Contents:
    """A result with the exceptions of the items that failed."""
    errors: dict[int, BaseException] = {}
    for number, item in enumerate(opened.meta.items):
        if item.failed and opened.meta.chunked:
            failure: Failure = opened.value(number)
            if opened.meta.output:
                printed, turns = opened.said(number)
                if printed:
                    failure = msgspec.structs.replace(failure, output=printed, output_turns=turns)
            error = errors[number] = advised(exception_of(failure, "", result_id))
            if item.files and isinstance(error, CommandError):
                error.keeps_files = True
    return events.Contents(opened, errors)
