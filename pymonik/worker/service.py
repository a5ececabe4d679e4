"""The Worker service: one task at a time, its health at any time."""

from __future__ import annotations

import logging
import mmap
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
import msgspec
from armonik.protogen.common.objects_pb2 import Empty, Output
from armonik.protogen.common.worker_common_pb2 import HealthCheckReply, ProcessReply
from armonik.protogen.worker.worker_service_pb2_grpc import WorkerServicer

from pymonik.code.failure import describe
from pymonik.errors import SerializationError, TaskFailedError
from pymonik.executor.endings import Cancelled, Ending, Failed, Lost, Retry, TimedOut, Waiting
from pymonik.executor.failed_calls import kinds
from pymonik.executor.frames import Report, Run
from pymonik.executor.nonces import nonce_of
from pymonik.executor.packed_options import packed
from pymonik.quantities import LONGEST_DURATION
from pymonik.wire import containers
from pymonik.wire.call import PayloadMeta
from pymonik.wire.error_text import error_text
from pymonik.worker.agent_requests import AgentError, TaskAgent
from pymonik.worker.delivery import UndeliveredError, deliver, hand_over
from pymonik.worker.live import LiveWay
from pymonik.worker.option_messages import from_message
from pymonik.worker.presence import Presence
from pymonik.worker.refusal import refusal, shortened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymonik.executor.pool import ExecutorPool

logger = logging.getLogger(__name__)

# Seconds that a task waits for the one before it, which the agent has given up: that long its
# executor may take to end. Past it the call fails, and ArmoniK retries the task.
TURN_S = 30.0
CANCEL_AGAIN_S = 0.1  # seconds between two attempts to cancel a task in the pool
LOOK_S = 0.05  # seconds between two looks at whether `hurried` is set


class WorkerService(WorkerServicer):  # type: ignore[misc]
    """Answers the agent.

    Args:
        pool: Runs the calls.
        agent: Stub of the Agent service.
        live: The way out of a running task.
    """

    def __init__(self, pool: ExecutorPool, agent: Any, live: LiveWay | None = None) -> None:
        self._pool = pool
        self._live = live or LiveWay()
        self._agent = agent
        self._presence = Presence(self._live)
        self._presence.start()
        self._turn = threading.Lock()  # held while a task runs
        self._draining = threading.Event()

    def drain(self, timeout_s: float, hurried: threading.Event) -> bool:
        """Refuse new tasks and wait for the running one; whether it has ended in time.

        Args:
            timeout_s: Seconds to wait.
            hurried: Set by another thread when nobody wants to wait any longer.
        """
        self._draining.set()
        end = time.monotonic() + timeout_s
        while not self._turn.acquire(timeout=LOOK_S):
            if hurried.is_set() or time.monotonic() >= end:
                return False
        self._turn.release()
        return True

    def HealthCheck(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        """Whether a task may be sent: while draining it would be lost, else always."""
        if self._draining.is_set():
            return HealthCheckReply(status=HealthCheckReply.NOT_SERVING)
        return HealthCheckReply(status=HealthCheckReply.SERVING)

    def Process(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Run one task: ``Output.error`` is final, a failed call is tried again by ArmoniK."""
        with self._alone(context):
            start = time.monotonic()
            ending: Ending | None = None
            try:
                agent = TaskAgent(self._agent, request)
                self._live.begin(agent.read)
                self._presence.begin(request.session_id, request.task_options.partition_id)
                ending = self._run(request, context, agent)
                return self._answer(ending, request, context, agent)
            finally:
                _log_end(request, ending, time.monotonic() - start)

    @contextmanager
    def _alone(self, context: Any) -> Iterator[None]:
        """One task at a time; a second one comes when the first was given up by the agent."""
        if self._draining.is_set() or not self._turn.acquire(timeout=TURN_S):
            context.abort(grpc.StatusCode.UNAVAILABLE, "the worker takes no task now")
        try:
            # Asked again: it may have been set while this one waited for its turn.
            if self._draining.is_set():
                context.abort(grpc.StatusCode.UNAVAILABLE, "the worker is shutting down")
            yield
        finally:
            self._turn.release()

    def _run(self, request: Any, context: Any, agent: TaskAgent) -> Ending:
        problem = _problem(request)
        if problem:
            return Failed(describe(SerializationError(problem)))
        ended = threading.Event()
        if not context.add_callback(lambda: self._give_up(request.task_id, ended)):
            return Cancelled()
        try:
            return self._pool.run(
                _to_run(request),
                time_limit_s=_time_limit(request, context),
                counts_loading=True,  # the agent gives the call up at its own time
                hand_over=lambda report: hand_over(report, agent),
                agent=agent.pass_on,
            )
        finally:
            ended.set()

    def _give_up(self, task_id: str, ended: threading.Event) -> None:
        """The call is over: if the task still runs, nobody wants its result."""
        # gRPC calls this in a thread that serves all calls, which must not block.
        if not ended.is_set():
            threading.Thread(
                target=self._cancel, args=(task_id, ended), name=f"cancel {task_id}"
            ).start()

    def _cancel(self, task_id: str, ended: threading.Event) -> None:
        # The pool ignores a task that it does not know yet: ask until it has ended.
        while not ended.is_set():
            self._pool.cancel(task_id)
            ended.wait(CANCEL_AGAIN_S)

    def _answer(self, ending: Ending, request: Any, context: Any, agent: TaskAgent) -> Any:
        told = self._live.end()
        # `Output.error` is final for ArmoniK, which retries every other status than
        # DEADLINE_EXCEEDED.
        if isinstance(ending, Failed):
            return _error(error_text(ending.failure, _nonce(request)))
        if isinstance(ending, Retry | Lost):
            text = refusal(ending.failure, _nonce(request))
            return _abort(context, grpc.StatusCode.INTERNAL, text)
        if isinstance(ending, TimedOut):
            text = refusal(ending.failure, _nonce(request))
            return _abort(context, grpc.StatusCode.DEADLINE_EXCEEDED, text)
        if isinstance(ending, Cancelled | Waiting):  # the pool of a worker never says Waiting
            return _abort(context, grpc.StatusCode.UNAVAILABLE, "the task was stopped")
        try:
            if told:
                ending = msgspec.structs.replace(ending, created=[*ending.created, *told])
            deliver(ending, _output_id(request), agent)
            if ending.forgotten:
                self._live.forget(ending.forgotten)
            self._presence.tell(request.session_id, request.task_options.partition_id, agent)
        except UndeliveredError as error:
            failure = describe(TaskFailedError(str(error), request.task_id))
            return _error(error_text(failure, _nonce(request)))
        except (AgentError, OSError) as error:
            logger.exception("what the task made cannot be handed over")
            return _abort(context, grpc.StatusCode.INTERNAL, str(error))
        return ProcessReply(output=Output(ok=Empty()))


def _log_end(request: Any, ending: Ending | None, seconds: float) -> None:
    """One line for each task: function, calls, outcome, seconds and cause.

    No arguments, and no text of an exception: either may hold what is secret.
    """
    meta = _payload_head(request)
    outcome, cause, failed = "lost", "", 0
    if isinstance(ending, Report):
        outcome = "delegated" if ending.output is None and ending.output_path is None else "ok"
        failed, cause = sum(ending.faults.values()), kinds(ending.faults)
    elif ending is not None:
        outcome = type(ending).__name__.lower()
        failure = getattr(ending, "failure", None)
        cause = failure.raised[0].title if failure is not None else ""
    extra = {
        "task_id": request.task_id,
        "session_id": request.session_id,
        "function": meta.function.name if meta is not None else "",
        "calls": len(meta.calls) if meta is not None else 0,
        "failed": failed,
        "outcome": outcome,
        "cause": cause,
        "duration_s": f"{seconds:.3f}",
    }
    calls = f"{extra['calls']} calls" if extra["calls"] != 1 else ""
    some = f"{failed} failed" if failed else ""
    words = (extra["function"], calls, outcome, some, cause, f"{seconds:.3g} s")
    logger.info("task ended: %s", " ".join(filter(None, map(str, words))), extra=extra)


def _payload_head(request: Any) -> PayloadMeta | None:
    try:
        meta = _head(Path(request.data_folder, request.payload_id))
    except (OSError, SerializationError):
        return None
    return meta if isinstance(meta, PayloadMeta) else None


def _problem(request: Any) -> str:
    """Why the task cannot be one of ours; empty when it can."""
    outputs = len(request.expected_output_keys)
    if outputs > 1:
        return f"this worker runs tasks of pymonik, which have one output and not {outputs}"
    try:
        meta = _head(Path(request.data_folder, request.payload_id))
    except OSError as error:
        return f"the payload cannot be read: {error.strerror}"
    except SerializationError as error:
        return f"this worker runs tasks of pymonik; the payload is none: {error}"
    return "" if isinstance(meta, PayloadMeta) else "the payload of the task is not a payload"


def _head(path: Path) -> object:
    if path.stat().st_size == 0:
        raise SerializationError("it is empty")
    with path.open("rb") as file:
        mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        return containers.split(mapped)[0]


def _to_run(request: Any) -> Run:
    folder = Path(request.data_folder)
    inputs = dict.fromkeys([request.payload_id, *request.data_dependencies])
    # ArmoniK tells a worker the attempt by the id of the task only: "<first id>###<retries>".
    _, _, retry = request.task_id.rpartition("###")
    return Run(
        task_id=request.task_id,
        session_id=request.session_id,
        attempt=int(retry) + 1 if retry.isdecimal() and "###" in request.task_id else 1,
        files={result_id: str(folder / result_id) for result_id in inputs},
        payload_id=request.payload_id,
        output_id=_output_id(request),
        packed_options=packed(from_message(request.task_options)),
        folder=str(folder),
    )


def _output_id(request: Any) -> str:
    return request.expected_output_keys[0] if request.expected_output_keys else ""


def _time_limit(request: Any, context: Any) -> float | None:
    """The shorter one of what the call and the options leave."""
    remaining = context.time_remaining()
    longest = LONGEST_DURATION.total_seconds()
    own = request.task_options.max_duration.ToTimedelta().total_seconds()
    limits = [limit for limit in (remaining, own or None) if limit is not None and limit < longest]
    return max(min(limits), 0.0) if limits else None


def _nonce(request: Any) -> str:
    return nonce_of(str(Path(request.data_folder, request.payload_id)))


def _error(details: str) -> Any:
    return ProcessReply(output=Output(error=Output.Error(details=details)))


def _abort(context: Any, code: grpc.StatusCode, text: str) -> NoReturn:
    context.abort(code, shortened(text))
    raise AssertionError("abort always raises")
