"""`RemoteSession`: a session of the control plane as `pymonik.session.protocol.Session`."""

from __future__ import annotations

import logging
import os
import secrets
import threading
import weakref
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from pymonik.code import codec
from pymonik.errors import ControlPlaneError, SessionClosedError, TaskCancelledError, UsageError
from pymonik.session.forgetting import keeps_results
from pymonik.session.protocol import AUTO
from pymonik.session.result import Countdown, Inputs, ResultState, Status
from pymonik.transport.batch import BatchSender
from pymonik.transport.chunks import ChunkReader, ChunkState
from pymonik.transport.data import DataStore
from pymonik.transport.feeder import Feeder
from pymonik.transport.forgotten import ForgottenResults
from pymonik.transport.opened import OpenedResults
from pymonik.transport.outbox import BATCH_TASKS, Outbox, OutgoingTask
from pymonik.transport.pace import Pace
from pymonik.transport.watcher import Watcher
from pymonik.wire.call import WHOLE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pymonik.code.codec import OpenedResult, Packed
    from pymonik.options import TaskOptions
    from pymonik.session.protocol import Drawn, Session, Submission
    from pymonik.transport.control_plane import ControlPlane
    from pymonik.transport.listing import Listing
    from pymonik.wire.environment import Environment

_log = logging.getLogger(__name__)
_ENDED = "The session transition is invalid"  # somebody else closed or cancelled it


class RemoteSession:
    """Submits through an outbox, learns through a watcher, moves data through a store."""

    def __init__(
        self,
        plane: ControlPlane,
        session_id: str,
        *,
        environment: Environment,
        options: TaskOptions,
        partitions: Sequence[str] = (),
        chunk_bytes: int = 0,
        storage_folder: Path | None = None,
        batch_tasks: int = BATCH_TASKS,
        polling_s: float | None = None,
        patience_s: float = 30.0,
        is_alive: Callable[[], bool] | None = None,
        is_private: bool = False,
    ) -> None:
        """Calls can be submitted at once.

        Args:
            plane: Of the session, which is open.
            session_id: Its id.
            environment: What calls get around them.
            options: Those of every call, under its own.
            partitions: That calls may name.
            chunk_bytes: Of data that are streamed.
            storage_folder: Of the object storage, where it can be reached.
            batch_tasks: Most calls of one request.
            polling_s: Seconds between questions, where no events can tell.
            patience_s: Seconds without any answer after which pending results fail.
            is_alive: Whether the process of an embedded cluster runs.
            is_private: Whether nobody else can ask for results: those that nothing here refers to
                any more are forgotten.
        """
        self._plane = plane
        self._session_id = session_id
        self._environment = environment
        self._options = options
        self._nonce = secrets.token_hex(16)  # known to this session and its workers only
        self._partitions = frozenset(partitions)
        self._workers: dict[str, int] = {}  # by partition
        self._paces: WeakKeyDictionary[object, Pace] = WeakKeyDictionary()
        self._drawn: list[Drawn] = []
        self._pid = os.getpid()
        self._closing = threading.Lock()
        self._closed = ""
        self._needed: set[Session] = set()  # whose results are inputs here: not to be forgotten
        self._data = DataStore(plane, session_id, chunk_bytes=chunk_bytes, folder=storage_folder)
        self._opened = OpenedResults(self._data)
        self._forgotten = ForgottenResults(plane, _kept(self)) if is_private else None
        self._watcher = Watcher(
            plane,
            session_id,
            polling_s=polling_s,
            patience_s=patience_s,
            is_alive=is_alive,
            hold=self._forgotten.hold if self._forgotten is not None else None,
        )
        send = BatchSender(
            plane,
            session_id,
            self._data,
            environment=environment,
            options=options,
            nonce=self._nonce,
            watch=self._watcher.watch,
        )
        self._outbox = Outbox(send, batch_tasks=batch_tasks)
        self._reader = ChunkReader(self._opened, _weakly(self.attach))
        self._feeder = Feeder(self._outbox.put, self._reader, reads_all=storage_folder is not None)
        if self._forgotten is not None:
            self._forgotten.start()
        self._watcher.start()
        self._outbox.start()

    # -- Session -------------------------------------------------------------------------------

    @property
    def session_id(self) -> str:
        """The id that the control plane gave."""
        return self._session_id

    @property
    def environment(self) -> Environment:
        """What calls get around them."""
        return self._environment

    @property
    def lists(self) -> Listing:
        """What the control plane can be asked for by people who look."""
        return self._plane.lists

    def submit(self, submission: Submission) -> list[ResultState]:
        """One state for each call; see `pymonik.session.protocol.Session`.

        Raises:
            UsageError: A delegation, which only a task can do, or a partition out of reach.
            SessionClosedError: The session was closed or cancelled.
        """
        self._check_open("SubmitTasks")
        if submission.delegate:
            raise UsageError("delegate=True: only a task can delegate its result to another")
        self._check_partition(submission.options.partition_id)
        self._send_foreign(submission.calls)
        name = submission.function.name
        states = [ResultState(self, name) for _ in submission.calls]
        if submission.chunk_size != 1 and len(states) > 1:
            self._feeder.add(submission, states, self._pace(submission))
            return states
        tasks = [
            OutgoingTask(submission.function, (call,), submission.options, state)
            for call, state in zip(submission.calls, states, strict=True)
        ]
        for call, state in zip(submission.calls, states, strict=True):
            if call.refs:
                state.when_final(Inputs(call.refs))
        if not self._feeder.hold(tasks):
            self._outbox.put(tasks)
        return states

    def _pace(self, submission: Submission) -> Pace:
        """What is known of the calls, from those of the same series."""
        if submission.series not in self._paces:
            self._paces[submission.series] = self._new_pace(submission)
        return self._paces[submission.series]

    def _new_pace(self, submission: Submission) -> Pace:
        partition = submission.options.partition_id or self._options.partition_id or ""
        if partition not in self._workers:
            named = partition or self._plane.session_partitions(self._session_id)[0]
            self._workers[partition] = self._plane.partition_size(named)
        size = None if submission.chunk_size == AUTO else submission.chunk_size
        return Pace(self._workers[partition], size)

    def before_end(self, drawn: Drawn) -> None:
        """Have ``drawn`` submit what is left of it before the session is closed."""
        self._drawn = [one for one in self._drawn if not one.is_exhausted]
        self._drawn.append(drawn)

    def put(self, values: Sequence[Packed], names: Sequence[str]) -> list[ResultState]:
        """Store values; they are there when this returns."""
        self._check_open("CreateResults")
        if any(packed.refs for packed in values):
            raise UsageError("put() takes values, not handles; pass the handle as an argument")
        items = [
            (name, codec.join_value(packed)) for name, packed in zip(names, values, strict=True)
        ]
        states = []
        for name, result_id in zip(names, self._data.store(items), strict=True):
            state = ResultState(self, name, result_id)
            if self._forgotten is not None:
                state.holds = (self._forgotten.hold(result_id),)
            state.complete()
            states.append(state)
        return states

    def attach(
        self, result_id: str, name: str = "", task_id: str = "", item: int = WHOLE
    ) -> ResultState:
        """The state of a result that this object did not create, kept up to date from now on."""
        self._check_process()
        whole = self._watcher.known(result_id)
        if whole is None:
            whole = ResultState(self, name, result_id)
            whole.task_id = task_id
            self._watcher.watch([whole], unseen=True)
        if item == WHOLE:
            return whole
        state = ResultState(self, name, result_id, item)
        state.task_id = task_id
        state.whole = whole
        self._reader.follow(whole, [state])
        return state

    def send(self) -> None:
        """Have everything submitted so far sent; afterwards each state has its result id."""
        self._check_process()
        self._outbox.check_thread()  # the feeder may wait for room in it
        self._feeder.flush()
        self._outbox.drain()

    def wait(self, states: Sequence[ResultState], timeout: float | None) -> None:
        """Block until all are final."""
        self._check_process()
        self._outbox.flush()
        Countdown(states).wait(timeout)

    def fetch(self, states: Sequence[ResultState]) -> list[OpenedResult]:
        """The results in which these completed states have their values, in order."""
        self._check_process()
        return self._opened.get(states)

    def cancel(self, states: Sequence[ResultState]) -> None:
        """Cancel the calls that produce these results; those that ended stay as they are.

        A task ends with the last of its calls.
        """
        self._check_process()
        self._feeder.give_up(states)
        self._outbox.drain()
        running = _tasks_to_cancel(states)
        if not running:
            return
        # A retry, or a delegation, has made another task the owner since.
        infos = self._plane.list_results([state.result_id or "" for state in running])
        owners = {info.owner_task_id for info in infos.values()}
        owners.update(state.task_id for state in running)
        self._plane.cancel_tasks(sorted(owners - {"", self._session_id}))

    # -- end -----------------------------------------------------------------------------------

    def wait_for_all(self) -> None:
        """Block until everything that was submitted has ended."""
        for drawn in self._drawn:
            if not drawn.is_exhausted:
                drawn.draw_all()
        self._feeder.join()
        self._outbox.drain()
        Countdown(self._watcher.pending()).wait(None)
        self._reader.join()

    def close(self) -> None:
        """Close the session: it takes no more tasks, and those that wait do not start.

        Results that are there can still be fetched.
        """
        if self._begin_end("closed"):
            self._feeder.close(_closed("closed"))
            self._outbox.close()
            try:
                self._end_session(self._plane.close_session)
            finally:
                self._stop("the session was closed before the task ended")

    def cancel_all(self) -> None:
        """Cancel the session: every task of it stops, what waits to be sent is dropped."""
        if self._begin_end("cancelled"):
            cancelled = TaskCancelledError("the session was cancelled")
            self._feeder.close(cancelled)
            self._outbox.close(cancelled)
            try:
                self._end_session(self._plane.cancel_session)
            finally:
                self._stop("the session was cancelled")

    def _begin_end(self, how: str) -> bool:
        """Whether the caller is to end the session: the first one is, and nobody in a fork."""
        with self._closing:  # not held any longer: threads are waited for that may ask too
            if self._closed or os.getpid() != self._pid:
                return False
            self._closed = how
            return True

    def _end_session(self, request: Callable[[str], None]) -> None:
        try:
            request(self._session_id)
        except SessionClosedError:
            _log.debug("session %s does not exist any more", self._session_id)
        except ControlPlaneError as error:
            if not error.detail.startswith(_ENDED):
                raise
            _log.debug("session %s had ended: %s", self._session_id, error.detail)

    def _stop(self, why: str) -> None:
        self._watcher.stop(TaskCancelledError(why))
        self._reader.close()
        if self._forgotten is not None:
            self._forgotten.close()
        self._plane.rest()  # values can be fetched as long as there are handles

    # -- checks --------------------------------------------------------------------------------

    def _check_process(self) -> None:
        if os.getpid() != self._pid:
            raise UsageError(
                "this session belongs to the parent process, and gRPC does not survive a fork; "
                "create a new `Pymonik()` here, or start processes with 'spawn'"
            )

    def _check_open(self, operation: str) -> None:
        self._check_process()
        if self._closed:
            raise _closed(self._closed, operation)

    def _check_partition(self, partition: str | None) -> None:
        if partition is None or partition in self._partitions:
            return
        if not self._partitions:
            self._partitions = frozenset(self._plane.session_partitions(self._session_id))
        if partition not in self._partitions:
            known = ", ".join(sorted(self._partitions))
            raise UsageError(
                f"partition {partition!r} is not one of this session ({known}); "
                f"name it when you connect: Pymonik(partition=[..., {partition!r}])"
            )

    def _send_foreign(self, calls: Sequence[Packed]) -> None:
        """Results of another session must have their ids before ours refers to them."""
        for call in calls:
            for ref in call.refs:
                state = ref._state
                if state.session is not self:
                    self._needed.add(state.session)
                if state.session is self or state.result_id or state.status is not Status.PENDING:
                    continue
                if state.session is not None:
                    state.session.send()


def _closed(how: str, operation: str = "SubmitTasks") -> SessionClosedError:
    return SessionClosedError(operation, f"this session is {how}; open another `Pymonik()`")


def _tasks_to_cancel(states: Sequence[ResultState]) -> list[ResultState]:
    """Those whose tasks are to end; calls that share a task are given up, it ends with the last."""
    alone: dict[int, ResultState] = {}
    for state in states:
        whole = state.whole
        if state.is_final or not state.result_id:
            continue
        if whole is None:
            alone[id(state)] = state
            continue
        state.fail(TaskCancelledError("the call was cancelled", state.task_id, state.result_id))
        # Of a result that came out of a pickle it is not known which other calls share it.
        if isinstance(whole, ChunkState) and all(item.is_final for item in whole.items):
            alone[id(whole)] = whole
    return list(alone.values())


def _kept(session: Session) -> Callable[[], bool]:
    """Whether its results are kept; does not keep the session itself."""
    reference = weakref.ref(session)
    return lambda: (known := reference()) is not None and keeps_results(known)


def _weakly(attach: Callable[[str], ResultState]) -> Callable[[str], ResultState]:
    """The same method of a session which is not kept by it: it must go with its last handle."""
    reference = weakref.WeakMethod(attach)

    def call(result_id: str) -> ResultState:
        method = reference()
        if method is None:
            raise ReferenceError("the session is gone, and so is whoever waits for its results")
        return method(result_id)

    return call
