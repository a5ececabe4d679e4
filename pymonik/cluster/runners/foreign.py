"""A slot that runs tasks in a foreign worker: any program that speaks ArmoniK's Worker protocol.

::

    ForeignSlot (a thread) ──acquire, start, finish──► Dispatch
        │ Process, HealthCheck          ▲ fetch, merge_options
        ▼                               │
    worker process ──────────────► AgentService

One task at a time. How an execution ends follows §"WorkerStreamHandler" of ArmoniK.Core: only a
failed call is retried, an ``Output.error`` is final. Where ArmoniK's agent stops itself with its
worker, a slot starts the worker again.
"""

from __future__ import annotations

import logging
import shutil
import threading
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc
from armonik.protogen.worker.agent_service_pb2_grpc import add_AgentServicer_to_server

from pymonik.cluster.runners.agent_service import AgentService, Attempt
from pymonik.cluster.runners.worker_process import WorkerProcess
from pymonik.cluster.state.work import (
    Assignment,
    Failed,
    Lost,
    Outcome,
    Released,
    Start,
    Stopped,
    TimedOut,
)
from pymonik.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pymonik.cluster.dispatch import Dispatch

logger = logging.getLogger(__name__)

HEALTH_TIMEOUT_S = 5.0  # InitWorker__WorkerCheckTimeout of ArmoniK
GRACE_S = 2.0  # seconds for a worker whose call was stopped to be free again; then it is restarted
LONGEST_CALL_S = 365 * 86_400.0  # a year: the longest deadline that gRPC is given, for any limit
FIRST_DELAY_S, LONGEST_DELAY_S = 0.1, 5.0  # before a worker that ended is started again; it doubles
# Codes that tell of the connection when the worker's process is gone.
DOWN_CODES = ("UNAVAILABLE", "UNKNOWN", "ABORTED", "CANCELLED")


class ForeignSlot:
    """One worker process, its agent, and the thread that gives it tasks.

    Args:
        dispatch: Where tasks come from.
        partition_id: The partition served.
        command: Starts the worker.
        folder: A private folder for this slot, short enough for unix sockets.
        hostname: Shown as the host of the tasks' pod.
        current_folder: Where the command runs; empty for that of this process.
        inherit_output: Let the worker write to our standard error.

    Attributes:
        ready: Done when the worker serves for the first time; has the error if it never does.
    """

    def __init__(
        self,
        dispatch: Dispatch,
        partition_id: str,
        command: Sequence[str],
        folder: Path,
        *,
        hostname: str,
        current_folder: str = "",
        inherit_output: bool = False,
    ) -> None:
        self.ready: Future[None] = Future()
        self._dispatch = dispatch
        self._partition_id = partition_id
        self._folder = folder
        self._pod_id = folder.name
        self._hostname = hostname
        self._command = command
        self._agent = AgentService(dispatch)
        self._agent_socket = folder / "agent.sock"
        self._worker = WorkerProcess(
            command,
            folder,
            self._agent_socket,
            current_folder=current_folder,
            inherit_output=inherit_output,
        )
        self._free = False  # the worker is known to wait for a task
        self._delay_s = 0.0  # before the next start
        self._lock = threading.Lock()  # guards the three below
        self._task_id = ""
        self._call: Any = None
        self._cancelled = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"slot {self._pod_id}")

    def start(self) -> None:
        """Start the agent, the worker and the thread; `ready` tells when they work."""
        self._folder.mkdir(parents=True)
        self._thread.start()

    def stop(self) -> None:
        """End the running call and the worker; the state must be closed already."""
        self._stopping.set()
        with self._lock:
            call = self._call
        if call is not None:
            call.cancel()

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait until the thread has ended; whether it has."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        server = self._serve_agent()
        try:
            while not self._stopping.is_set():
                if self._worker_serves() and not self._run_next_task():
                    break
        except Exception as error:
            logger.exception("slot %s ends", self._pod_id)
            if not self.ready.done():
                self.ready.set_exception(error)
        finally:
            self._worker.stop()
            server.stop(None).wait()
            if not self.ready.done():
                self.ready.cancel()

    def _serve_agent(self) -> Any:
        threads = ThreadPoolExecutor(4, thread_name_prefix=f"agent {self._pod_id}")
        server = grpc.server(threads)
        add_AgentServicer_to_server(self._agent, server)
        server.add_insecure_port(f"unix:{self._agent_socket}")
        server.start()
        return server

    # The worker's life

    def _worker_serves(self) -> bool:
        """Have a worker that is free for a task; start it, or start it anew, if need be."""
        if self._worker.is_alive() and (self._free or self._worker.serves(GRACE_S)):
            self._free = True
            return True
        self._worker.stop()
        if self._stopping.wait(self._delay_s):
            return False
        self._delay_s = min(max(2 * self._delay_s, FIRST_DELAY_S), LONGEST_DELAY_S)
        self._worker.start()
        self._free = self._worker.wait_serving(self._stopping)
        if not self._stopping.is_set():
            self._tell_start()
        return self._free

    def _tell_start(self) -> None:
        if self._free:
            if not self.ready.done():
                self.ready.set_result(None)
            return
        how = self._worker.death(wait=False) or "the worker does not answer HealthCheck"
        text = f"the worker {' '.join(self._command)!r} cannot be used: {how}"
        output = self._worker.output_tail()
        error = ConfigError(f"{text}; it wrote:\n{output}" if output else text)
        if self.ready.done():
            logger.warning("%s", error)
        else:
            self.ready.set_exception(error)

    # One task

    def _run_next_task(self) -> bool:
        """Wait for a task and run it; false when there will be no more."""
        assignment = self._dispatch.acquire(
            self._partition_id,
            pod_id=self._pod_id,
            hostname=self._hostname,
            on_cancel=self._cancel,
        )
        if assignment is None:
            return False
        token = str(uuid.uuid4())  # of this attempt: what the last one asks for late is refused
        folder = self._folder / token
        try:
            outcome = self._attempt(assignment, token, folder)
        except Exception:
            # A slot outlives whatever a task brings about.
            logger.exception("task %s, MessageId = %s", assignment.task_id, token)
            outcome = Lost(_internal_error(token))
        try:
            if outcome is not None and not self._stopping.is_set():
                self._dispatch.finish(assignment.task_id, outcome, pod_id=self._pod_id)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        self._worker.trim_output()
        return True

    def _attempt(self, assignment: Assignment, token: str, folder: Path) -> Outcome | None:
        attempt = Attempt(assignment, token, folder)
        try:
            attempt.lay_out()
        except OSError:  # the data of an input were deleted
            logger.warning(
                "inputs of task %s are missing, MessageId = %s", assignment.task_id, token
            )
            return Failed(_internal_error(token))
        # Before each task, as ArmoniK's agent does, and never during one: a Python worker has one
        # thread, and would not answer.
        if not self._worker.serves(HEALTH_TIMEOUT_S):
            self._free = False
            return Released()
        with self._lock:
            self._task_id, self._cancelled = assignment.task_id, False
        if self._dispatch.start(assignment.task_id, pod_id=self._pod_id) is Start.DROP:
            return None
        self._agent.attach(attempt)
        try:
            return self._process(attempt)
        finally:
            self._agent.detach()

    def _process(self, attempt: Attempt) -> Outcome:
        """Send the task to the worker and say how it ended."""
        duration_s = attempt.assignment.options.max_duration.total_seconds()
        # Zero is a legal `max_duration` of ArmoniK, and over at once.
        if duration_s <= 0:
            return TimedOut()
        self._free = False
        call = self._worker.process(attempt.request(), min(duration_s, LONGEST_CALL_S))
        # `_cancel` either finds the call here, or has left `_cancelled` for this line to find.
        with self._lock:
            self._call, cancelled = call, self._cancelled
        if cancelled or self._stopping.is_set():
            call.cancel()
        try:
            reply = call.result()
        except grpc.FutureCancelledError:
            return Stopped()
        except grpc.RpcError as error:
            return self._failure(error, attempt)
        finally:
            with self._lock:
                self._call, self._task_id = None, ""
        self._free, self._delay_s = True, 0.0
        self._agent.detach()  # whatever the worker asks for from here on is too late
        return _ended(reply, attempt)

    def _cancel(self, task_id: str) -> None:
        """The task is to be stopped; called from another thread."""
        with self._lock:
            if self._task_id != task_id:
                return  # not started: `start` will say DROP
            self._cancelled, call = True, self._call
        if call is not None:
            call.cancel()

    def _failure(self, error: Any, attempt: Attempt) -> Outcome:
        code = error.code()
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return TimedOut()
        shown = code.name.title().replace("_", "")
        # UNAVAILABLE comes when the socket closes, a moment before the process is seen to have
        # ended.
        death = self._worker.death(wait=code is grpc.StatusCode.UNAVAILABLE)
        logger.warning(
            "worker of %s failed task %s: %s %s, MessageId = %s",
            self._pod_id,
            attempt.assignment.task_id,
            shown,
            death or "(it still runs)",
            attempt.token,
        )
        if not death:
            text = f"Worker returned error {shown}:\n{error.details()}"
        elif code.name in DOWN_CODES:
            text = f"Worker went down with error {shown}\n{death}"
        else:
            text = f"Agent had connectivity error {shown}\n{death}"
        return Lost(f"{text}\n{_see_logs(attempt.token)}")


def _ended(reply: Any, attempt: Attempt) -> Outcome:
    kind = reply.output.WhichOneof("type") if reply.HasField("output") else None
    if kind == "ok":
        return attempt.success()
    if kind == "error":
        return Failed(reply.output.error.details)
    return Lost(_internal_error(attempt.token))


def _see_logs(token: str) -> str:
    return f"See cluster logs for MessageId = {token}"


def _internal_error(token: str) -> str:
    return f"Agent got an internal error\n{_see_logs(token)}"
