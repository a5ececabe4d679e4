"""ArmoniK's private Agent service, for one foreign worker.

Everything a worker asks for here is kept until its task ends well, then applied all at once;
after any other end it never existed. Only ``GetResourceData`` acts at once. Follows
``GrpcAgentService.cs`` and ``Agent.cs`` of ArmoniK.Core, error texts included. Processes and
sockets are in `foreign`.
"""

from __future__ import annotations

import functools
import logging
import shutil
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
from armonik.protogen.common import agent_common_pb2 as pb
from armonik.protogen.common.objects_pb2 import Configuration
from armonik.protogen.common.result_status_pb2 import RESULT_STATUS_CREATED
from armonik.protogen.common.worker_common_pb2 import ProcessRequest

from pymonik.cluster.ids import new_id
from pymonik.cluster.messages import options_message, requested_options
from pymonik.cluster.state.faults import Fault, InvalidArgument
from pymonik.cluster.state.requested_options import merged
from pymonik.cluster.state.work import Assignment, NewResult, NewTask, Succeeded, TaskOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pymonik.cluster.dispatch import Dispatch
    from pymonik.cluster.state.requested_options import RequestedOptions

logger = logging.getLogger(__name__)

DATA_CHUNK_MAX_SIZE = (
    2 * 1024 * 1024
)  # bytes; the default of ArmoniK, which workers cut their messages by

# What ASP.NET answers when a service throws, which several mistakes of a worker lead to.
THROWN = "Exception was thrown by handler."


class RefusedError(Exception):
    """A request of the worker is refused with a gRPC status."""

    def __init__(self, code: grpc.StatusCode, detail: str) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail


@dataclass(slots=True)
class Attempt:
    """One running task: where its files are, and what it has asked for so far."""

    assignment: Assignment
    token: str
    folder: Path
    created: list[NewResult] = field(default_factory=list)
    notified: list[str] = field(default_factory=list)
    data: dict[str, bytes | Path] = field(default_factory=dict)
    tasks: list[NewTask] = field(default_factory=list)

    def lay_out(self) -> None:
        """Make the data folder: one file per input, named by result ID.

        Copies, never links: a worker may write there, and would write into the object storage.

        Raises:
            OSError: The data of an input were deleted.
        """
        self.folder.mkdir()
        for result_id, source in self.assignment.files.items():
            shutil.copyfile(source, self.folder / result_id)
        for result_id, data in self.assignment.data.items():
            (self.folder / result_id).write_bytes(data)

    def request(self) -> Any:
        """What tells a worker to run the task."""
        assignment = self.assignment
        return ProcessRequest(
            communication_token=self.token,
            session_id=assignment.session_id,
            task_id=assignment.task_id,
            task_options=options_message(assignment.options),
            expected_output_keys=assignment.expected_output_ids,
            payload_id=assignment.payload_id,
            data_dependencies=assignment.data_dependencies,
            data_folder=str(self.folder),
            configuration=Configuration(data_chunk_max_size=DATA_CHUNK_MAX_SIZE),
        )

    def file(self, result_id: str) -> Path:
        """Where the worker reads or writes this result; an ID is never a path."""
        if not result_id or result_id in (".", "..") or "/" in result_id:
            raise RefusedError(grpc.StatusCode.NOT_FOUND, "ResultId not found")
        return self.folder / result_id

    def success(self) -> Succeeded:
        """All that the task asked for; data given in a request win over notified files."""
        files = {result_id: self._written(result_id) for result_id in self.notified}
        return Succeeded(tuple(self.created), {**files, **self.data}, tuple(self.tasks))

    def _written(self, result_id: str) -> bytes | Path:
        path = self.file(result_id)
        if not path.exists():
            return b""  # notified, never written: ArmoniK makes it an empty result
        # A link would leave the storage with a name instead of the bytes.
        return path.read_bytes() if path.is_symlink() else path


def _answered(method: Callable[[Any, Any], Any]) -> Callable[[Any, Any, Any], Any]:
    """Turn what a method raises into the gRPC status that ArmoniK's agent answers."""

    @functools.wraps(method)
    def handler(self: Any, request: Any, context: Any) -> Any:
        try:
            return method(self, request)
        except RefusedError as refusal:
            return context.abort(refusal.code, refusal.detail)
        except InvalidArgument as fault:
            return context.abort(grpc.StatusCode.INVALID_ARGUMENT, fault.detail)
        except Fault:
            return context.abort(grpc.StatusCode.UNKNOWN, THROWN)
        except Exception:
            logger.exception("%s of the agent failed", method.__name__)
            return context.abort(grpc.StatusCode.UNKNOWN, THROWN)

    return handler


class AgentService:
    """The Agent service of one worker; serves the attempt it is attached to.

    Args:
        dispatch: Knows the results, and the options that a session gives its subtasks.
    """

    def __init__(self, dispatch: Dispatch) -> None:
        self._dispatch = dispatch
        # Guards the attempt and its lists: a worker may ask from several threads, and the slot
        # detaches.
        self._lock = threading.Lock()
        self._attempt: Attempt | None = None

    def attach(self, attempt: Attempt) -> None:
        """Accept the requests of this attempt, and of no other."""
        with self._lock:
            self._attempt = attempt

    def detach(self) -> None:
        """Refuse every request from now on."""
        with self._lock:
            self._attempt = None

    def _current(self, token: str) -> Attempt:
        # Called with the lock held.
        if self._attempt is None:
            raise RefusedError(grpc.StatusCode.UNAVAILABLE, "No task is accepting request")
        if not token:
            raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, "Missing communication token")
        if token != self._attempt.token:
            raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, "Wrong communication token")
        return self._attempt

    @_answered
    def CreateResultsMetaData(self, request: Any) -> Any:  # noqa: N802
        """Promise results whose data come later."""
        with self._lock:
            attempt = self._current(request.communication_token)
            results = [NewResult(new_id(), one.name) for one in request.results]
            attempt.created += results
        reply = pb.CreateResultsMetaDataResponse()
        _describe(results, request.session_id, reply)
        return reply

    @_answered
    def CreateResults(self, request: Any) -> Any:  # noqa: N802
        """Promise results and keep their data."""
        with self._lock:
            attempt = self._current(request.communication_token)
            results = [NewResult(new_id(), one.name) for one in request.results]
            attempt.created += results
            for result, one in zip(results, request.results, strict=True):
                attempt.data[result.result_id] = one.data
        reply = pb.CreateResultsResponse()
        _describe(results, request.session_id, reply)
        return reply

    @_answered
    def NotifyResultData(self, request: Any) -> Any:  # noqa: N802
        """Remember which files of the data folder are results; they are read at the end."""
        with self._lock:
            attempt = self._current(request.communication_token)
            for one in request.ids:
                attempt.file(one.result_id)  # raises if the ID could not be a name
                attempt.notified.append(one.result_id)
        return pb.NotifyResultDataResponse(result_ids=[one.result_id for one in request.ids])

    @_answered
    def SubmitTasks(self, request: Any) -> Any:  # noqa: N802
        """Keep subtasks; their dependencies are checked when the task has ended."""
        with self._lock:
            attempt = self._current(request.communication_token)
            base = self._subtask_options(attempt, requested_options(request, "task_options"))
            tasks = [_subtask(creation, base) for creation in request.task_creations]
            attempt.tasks += tasks
        reply = pb.SubmitTasksResponse(communication_token=attempt.token)
        for task in tasks:
            reply.task_infos.add(
                task_id=task.task_id,
                expected_output_ids=task.expected_output_ids,
                data_dependencies=task.data_dependencies,
                payload_id=task.payload_id,
            )
        return reply

    @_answered
    def GetResourceData(self, request: Any) -> Any:  # noqa: N802
        """Copy any completed result into the data folder."""
        with self._lock:
            attempt = self._current(request.communication_token)
            target = attempt.file(request.result_id)
            source = self._dispatch.fetch(request.result_id)
            if source is None:
                raise RefusedError(grpc.StatusCode.NOT_FOUND, "ResultId not found")
            shutil.copyfile(source, target)
        return pb.DataResponse(result_id=request.result_id)

    @_answered
    def GetCommonData(self, request: Any) -> Any:  # noqa: N802, ARG002
        """Refused, as ArmoniK's agent refuses it."""
        raise RefusedError(grpc.StatusCode.UNKNOWN, THROWN)

    GetDirectData = GetCommonData

    @_answered
    def CreateTask(self, requests: Any) -> Any:  # noqa: N802
        """Subtasks of older workers: a stream of options, then headers each with its payload."""
        try:
            return self._create_tasks(requests)
        except RefusedError as refusal:
            if refusal.code is grpc.StatusCode.UNKNOWN:
                raise
            return pb.CreateTaskReply(error=refusal.detail)

    def _create_tasks(self, requests: Iterator[Any]) -> Any:
        reply = pb.CreateTaskReply()
        base: TaskOptions | None = None
        task: NewTask | None = None
        for request in requests:
            with self._lock:
                attempt = self._current(request.communication_token)
                kind = request.WhichOneof("type")
                if kind == "init_request":
                    options = requested_options(request.init_request, "task_options")
                    base = self._subtask_options(attempt, options)
                elif kind == "init_task" and request.init_task.HasField("header"):
                    base = base or self._subtask_options(attempt, None)
                    task = _begin_task(attempt, request.init_task.header, base)
                elif kind == "task_payload" and task is not None:
                    _append(attempt, task.payload_id, request.task_payload.data)
                    if request.task_payload.data_complete:
                        _end_task(attempt, task, reply)
                        task = None
                reply.communication_token = attempt.token
        reply.creation_status_list.SetInParent()
        return reply

    def _subtask_options(self, attempt: Attempt, requested: RequestedOptions | None) -> TaskOptions:
        # As it was when the task was acquired: a stop that comes while a task runs is not for that
        # task.
        if not attempt.assignment.worker_submission:
            raise RefusedError(grpc.StatusCode.UNKNOWN, THROWN)
        return self._dispatch.merge_options(attempt.assignment.session_id, requested)


def _describe(results: list[NewResult], session_id: str, reply: Any) -> None:
    for result in results:
        description = reply.results.add(
            session_id=session_id,
            result_id=result.result_id,
            name=result.name,
            status=RESULT_STATUS_CREATED,
        )
        description.created_at.GetCurrentTime()


def _subtask(creation: Any, base: TaskOptions) -> NewTask:
    return NewTask(
        task_id=new_id(),
        payload_id=creation.payload_id,
        expected_output_ids=tuple(creation.expected_output_keys),
        data_dependencies=tuple(creation.data_dependencies),
        options=merged(requested_options(creation, "task_options"), base),
    )


def _begin_task(attempt: Attempt, header: Any, base: TaskOptions) -> NewTask:
    payload = NewResult(new_id())
    attempt.file(payload.result_id).touch()
    attempt.created.append(payload)
    return NewTask(
        task_id=new_id(),
        payload_id=payload.result_id,
        expected_output_ids=tuple(header.expected_output_keys),
        data_dependencies=tuple(header.data_dependencies),
        options=base,
    )


def _append(attempt: Attempt, result_id: str, data: bytes) -> None:
    with attempt.file(result_id).open("ab") as file:
        file.write(data)


def _end_task(attempt: Attempt, task: NewTask, reply: Any) -> None:
    attempt.notified.append(task.payload_id)
    attempt.tasks.append(task)
    reply.creation_status_list.creation_statuses.add().task_info.CopyFrom(
        pb.CreateTaskReply.TaskInfo(
            task_id=task.task_id,
            expected_output_keys=task.expected_output_ids,
            data_dependencies=task.data_dependencies,
            payload_id=task.payload_id,
        )
    )
