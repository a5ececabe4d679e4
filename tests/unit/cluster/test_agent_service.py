"""ArmoniK's Agent service: what a worker may ask for, and when it takes effect."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from armonik.protogen.common import agent_common_pb2 as pb

from pymonik.cluster.runners.agent_service import AgentService, Attempt
from pymonik.cluster.state.faults import InvalidArgument
from pymonik.cluster.state.requested_options import merged
from pymonik.cluster.state.work import Assignment, TaskOptions

if TYPE_CHECKING:
    from pathlib import Path

    import grpc

SESSION_OPTIONS = TaskOptions(timedelta(seconds=9), 3, 1, "P", {"k": "session"})


class AbortedError(Exception):
    """What a gRPC context raises to end a call."""


class FakeContext:
    def abort(self, code: grpc.StatusCode, details: str) -> None:
        raise AbortedError(code.name, details)


class FakeDispatch:
    """Results in a folder, and the options of one session."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fetch(self, result_id: str) -> Path | None:
        path = self.folder / result_id
        return path if path.exists() else None

    def merge_options(self, session_id: str, requested: Any) -> TaskOptions:
        if requested is not None and requested.priority > 10:
            raise InvalidArgument("Max priority is 10")
        return merged(requested, SESSION_OPTIONS)


class Worker:
    """The calls of a worker, with the token of its task."""

    def __init__(self, tmp_path: Path, *, worker_submission: bool = True) -> None:
        stored, folder = tmp_path / "stored", tmp_path / "data"
        stored.mkdir()
        folder.mkdir()
        (stored / "known").write_bytes(b"known bytes")
        dispatch: Any = FakeDispatch(stored)
        self.agent = AgentService(dispatch)
        assignment = Assignment(
            "task", "session", "p", {}, {}, (), ("out",), SESSION_OPTIONS, 1, worker_submission
        )
        self.attempt = Attempt(assignment, "token", folder)
        self.agent.attach(self.attempt)

    def call(self, rpc: str, request: Any) -> Any:
        if hasattr(request, "communication_token") and not request.communication_token:
            request.communication_token = "token"
        return getattr(self.agent, rpc)(request, FakeContext())

    def create(self, name: str, data: bytes) -> str:
        request = pb.CreateResultsRequest(session_id="session")
        request.results.add(name=name, data=data)
        return str(self.call("CreateResults", request).results[0].result_id)

    def notify(self, result_id: str) -> None:
        request = pb.NotifyResultDataRequest()
        request.ids.add(session_id="session", result_id=result_id)
        self.call("NotifyResultData", request)


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    return Worker(tmp_path)


def test_without_a_task_every_request_is_refused(worker: Worker) -> None:
    worker.agent.detach()
    with pytest.raises(AbortedError, match=r"UNAVAILABLE.*No task is accepting request"):
        worker.create("x", b"")


@pytest.mark.parametrize(("token", "text"), [("", "Missing"), ("other", "Wrong")])
def test_a_request_needs_the_token_of_the_task(worker: Worker, token: str, text: str) -> None:
    request = pb.DataRequest(result_id="known", communication_token=token)
    with pytest.raises(AbortedError, match=f"INVALID_ARGUMENT.*{text} communication token"):
        worker.agent.GetResourceData(request, FakeContext())


def test_what_is_created_is_kept_for_the_end(worker: Worker) -> None:
    created = worker.create("x", b"abc")
    success = worker.attempt.success()
    assert [(one.result_id, one.name) for one in success.created] == [(created, "x")]
    assert success.data == {created: b"abc"}


def test_a_notified_file_is_handed_over_and_one_never_written_is_empty(worker: Worker) -> None:
    worker.notify("out")
    worker.notify("never written")
    (worker.attempt.folder / "out").write_bytes(b"late")
    data = worker.attempt.success().data
    assert data == {"out": worker.attempt.folder / "out", "never written": b""}


def test_an_id_is_not_a_path(worker: Worker) -> None:
    with pytest.raises(AbortedError, match="NOT_FOUND"):
        worker.notify("../stored/known")


def test_a_known_result_is_copied_into_the_data_folder(worker: Worker) -> None:
    worker.call("GetResourceData", pb.DataRequest(result_id="known"))
    assert (worker.attempt.folder / "known").read_bytes() == b"known bytes"
    with pytest.raises(AbortedError, match=r"NOT_FOUND.*ResultId not found"):
        worker.call("GetResourceData", pb.DataRequest(result_id="unknown"))


def test_subtasks_have_the_options_of_the_request_over_the_session(worker: Worker) -> None:
    request = pb.SubmitTasksRequest(session_id="session")
    request.task_options.options["k"] = "request"
    request.task_options.max_duration.FromSeconds(0)
    request.task_creations.add(payload_id="p", expected_output_keys=["out"])
    reply = worker.call("SubmitTasks", request)
    (task,) = worker.attempt.success().tasks
    assert reply.communication_token == "token"
    assert reply.task_infos[0].task_id == task.task_id
    assert (task.options.options, task.options.priority) == ({"k": "request"}, 0)
    assert task.options.max_duration == SESSION_OPTIONS.max_duration


def test_a_priority_too_high_is_told_and_other_mistakes_are_unknown(worker: Worker) -> None:
    request = pb.SubmitTasksRequest()
    request.task_options.priority = 11
    with pytest.raises(AbortedError, match="INVALID_ARGUMENT"):
        worker.call("SubmitTasks", request)
    request.task_options.priority = 1
    with pytest.raises(AbortedError, match=r"UNKNOWN.*Exception was thrown by handler"):
        worker.call("SubmitTasks", request)  # without max_duration


def test_no_subtask_once_the_session_takes_none_from_workers(tmp_path: Path) -> None:
    worker = Worker(tmp_path, worker_submission=False)
    with pytest.raises(AbortedError, match="UNKNOWN"):
        worker.call("SubmitTasks", pb.SubmitTasksRequest())


def _stream(token: str) -> list[Any]:
    parts = [pb.CreateTaskRequest(communication_token=token) for _ in range(6)]
    parts[0].init_request.SetInParent()
    parts[1].init_task.header.expected_output_keys.append("out")
    parts[2].task_payload.data = b"abc"
    parts[3].task_payload.data = b"def"
    parts[4].task_payload.data_complete = True
    parts[5].init_task.last_task = True
    return parts


def test_older_workers_stream_their_subtasks(worker: Worker) -> None:
    reply = worker.call("CreateTask", iter(_stream("token")))
    (info,) = [one.task_info for one in reply.creation_status_list.creation_statuses]
    success = worker.attempt.success()
    (task,) = success.tasks
    assert (info.task_id, info.payload_id) == (task.task_id, task.payload_id)
    payload = success.data[task.payload_id]
    assert not isinstance(payload, bytes)
    assert payload.read_bytes() == b"abcdef"


def test_older_workers_read_a_refusal_in_the_reply(worker: Worker) -> None:
    reply = worker.call("CreateTask", iter(_stream("other")))
    assert reply.error == "Wrong communication token"
