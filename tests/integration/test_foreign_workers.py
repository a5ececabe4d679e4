"""Workers that only speak ArmoniK's protocol, run by the embedded cluster."""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from armonik.protogen.client import results_service_pb2_grpc as results_grpc
from armonik.protogen.client import sessions_service_pb2_grpc as sessions_grpc
from armonik.protogen.client import tasks_service_pb2_grpc as tasks_grpc
from armonik.protogen.common import results_common_pb2 as results_pb
from armonik.protogen.common import sessions_common_pb2 as sessions_pb
from armonik.protogen.common import tasks_common_pb2 as tasks_pb
from armonik.protogen.common.objects_pb2 import TaskOptions
from armonik.protogen.common.result_status_pb2 import RESULT_STATUS_ABORTED as ABORTED
from armonik.protogen.common.result_status_pb2 import RESULT_STATUS_COMPLETED as COMPLETED
from armonik.protogen.common.task_status_pb2 import TaskStatus

from pymonik.cluster.local import LocalCluster
from pymonik.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKERS = Path(__file__).parents[1] / "workers"
FINAL = {"COMPLETED", "ERROR", "TIMEOUT", "CANCELLED", "RETRIED"}
DEADLINE_S = 30.0


class Client:
    """The public API of a cluster, as raw as it is."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.sessions = sessions_grpc.SessionsStub(channel)
        self.results = results_grpc.ResultsStub(channel)
        self.tasks = tasks_grpc.TasksStub(channel)

    def session(self, max_duration_s: float = 30, max_retries: int = 2) -> str:
        options = TaskOptions(max_retries=max_retries, priority=1)
        options.max_duration.FromTimedelta(timedelta(seconds=max_duration_s))
        request = sessions_pb.CreateSessionRequest(default_task_option=options)
        return str(self.sessions.CreateSession(request).session_id)

    def data(self, session_id: str, data: bytes) -> str:
        request = results_pb.CreateResultsRequest(session_id=session_id)
        request.results.add(name="data", data=data)
        return str(self.results.CreateResults(request).results[0].result_id)

    def output(self, session_id: str) -> str:
        request = results_pb.CreateResultsMetaDataRequest(session_id=session_id)
        request.results.add(name="output")
        return str(self.results.CreateResultsMetaData(request).results[0].result_id)

    def submit(self, session_id: str, payload: bytes, *inputs: str) -> tuple[str, str]:
        """Submit one task; gives its ID and that of its output."""
        output_id = self.output(session_id)
        request = tasks_pb.SubmitTasksRequest(session_id=session_id)
        request.task_creations.add(
            payload_id=self.data(session_id, payload),
            expected_output_keys=[output_id],
            data_dependencies=inputs,
        )
        return str(self.tasks.SubmitTasks(request).task_infos[0].task_id), output_id

    def task(self, task_id: str) -> Any:
        return self.tasks.GetTask(tasks_pb.GetTaskRequest(task_id=task_id)).task

    def ended(self, task_id: str) -> Any:
        """The task once its status is final."""
        return _poll(lambda: self.task(task_id), lambda task: _status(task) in FINAL)

    def result(self, result_id: str) -> Any:
        request = results_pb.GetResultRequest(result_id=result_id)
        known = (COMPLETED, ABORTED)
        return _poll(
            lambda: self.results.GetResult(request).result, lambda raw: raw.status in known
        )

    def download(self, result_id: str) -> bytes:
        assert self.result(result_id).status == COMPLETED
        request = results_pb.DownloadResultDataRequest(result_id=result_id)
        return b"".join(part.data_chunk for part in self.results.DownloadResultData(request))

    def cancel(self, task_id: str) -> None:
        self.tasks.CancelTasks(tasks_pb.CancelTasksRequest(task_ids=[task_id]))


def _poll(read: Any, is_it: Any) -> Any:
    pause, found = threading.Event(), None
    for _ in range(int(DEADLINE_S / 0.02)):
        if is_it(found := read()):
            return found
        pause.wait(0.02)
    raise AssertionError(f"still not: {found}")


def _status(task: Any) -> str:
    return str(TaskStatus.Name(task.status)).removeprefix("TASK_STATUS_")


def _connected(*worker: str) -> Iterator[Client]:
    with (
        LocalCluster(workers=1, worker=[sys.executable, *worker]) as cluster,
        grpc.insecure_channel(cluster.endpoint.replace("unix://", "unix:")) as channel,
    ):
        yield Client(channel)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """A cluster with one small_worker."""
    yield from _connected(str(WORKERS / "small_worker.py"))


def test_a_task_gets_its_payload_and_its_output_is_read_back(client: Client) -> None:
    session_id = client.session()
    task_id, output_id = client.submit(session_id, b"double 21")
    assert client.download(output_id) == b"42"
    task = client.ended(task_id)
    assert _status(task) == "COMPLETED"
    assert task.owner_pod_id
    assert task.pod_hostname


def test_a_subtask_produces_the_output_that_its_parent_delegated(client: Client) -> None:
    session_id = client.session()
    task_id, output_id = client.submit(session_id, b"delegate")
    assert client.download(output_id) == b"42"
    subtask = client.ended(client.result(output_id).owner_task_id)
    assert subtask.created_by == task_id


def test_an_error_is_final(client: Client) -> None:
    task_id, output_id = client.submit(client.session(), b"fail")
    task = client.ended(task_id)
    assert (_status(task), task.output.error) == ("ERROR", "refused")
    assert client.result(output_id).status == ABORTED


def test_an_exception_is_retried_then_final(client: Client) -> None:
    task_id, output_id = client.submit(client.session(max_retries=1), b"raise")
    assert _status(client.ended(task_id)) == "RETRIED"
    assert client.result(output_id).status == ABORTED
    last = client.ended(f"{task_id}###1")
    assert _status(last) == "ERROR"
    assert last.output.error.startswith("Worker returned error Internal:")


def test_a_worker_that_dies_is_started_again_and_its_task_retried(client: Client) -> None:
    task_id, output_id = client.submit(client.session(), b"crash_once")
    assert client.download(output_id) == b"second attempt"
    first = client.ended(task_id)
    assert _status(first) == "RETRIED"
    assert first.output.error.startswith("Worker went down with error")
    assert "exit code 7" in first.output.error


def test_a_task_over_its_time_ends_and_its_worker_is_replaced(
    client: Client, short_path: Path
) -> None:
    started = short_path / "pid"
    task_id, output_id = client.submit(client.session(max_duration_s=1), f"hang {started}".encode())
    task = client.ended(task_id)
    assert (_status(task), task.output.error) == ("TIMEOUT", "Deadline Exceeded")
    assert client.result(output_id).status == ABORTED
    _, output_id = client.submit(client.session(), b"pid")
    assert client.download(output_id) != started.read_bytes()


def test_a_cancelled_task_frees_its_worker(client: Client, short_path: Path) -> None:
    session_id, started = client.session(), short_path / "pid"
    task_id, output_id = client.submit(session_id, f"hang {started}".encode())
    _poll(started.exists, bool)
    client.cancel(task_id)
    assert _status(client.ended(task_id)) == "CANCELLED"
    assert client.result(output_id).status == ABORTED
    _, output_id = client.submit(session_id, b"double 1")
    assert client.download(output_id) == b"2"


def test_a_worker_that_writes_on_its_inputs_changes_only_its_copy(client: Client) -> None:
    session_id = client.session()
    input_id = client.data(session_id, b"as it was")
    _, output_id = client.submit(session_id, b"overwrite_input", input_id)
    assert client.download(output_id) == b"done"
    assert client.download(input_id) == b"as it was"


def test_a_worker_may_fetch_any_completed_result(client: Client) -> None:
    other = client.data(client.session(), b"of another session")
    _, output_id = client.submit(client.session(), b"fetch " + other.encode())
    assert client.download(output_id) == b"of another session"


def test_an_ordinary_worker_sums_by_subtasks_of_subtasks() -> None:
    folder = WORKERS / "hello_world"
    common: Any = _module("hello_world_common", folder / "common.py")
    payload = common.Payload([float(n) for n in range(1, 101)], subtask_threshold=8)
    for client in _connected(str(folder / "worker.py")):
        _, output_id = client.submit(client.session(), payload.serialize())
        assert common.Result.deserialize(client.download(output_id)).value == 5050


def _module(name: str, path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def test_a_worker_that_cannot_start_is_told_with_what_it_wrote(short_path: Path) -> None:
    script = short_path / "broken.py"
    script.write_text("import a_module_that_is_not_there")
    cluster = LocalCluster(workers=1, worker=[sys.executable, str(script)], folder=short_path)
    with pytest.raises(ConfigError, match=r"(?s)cannot be used.*a_module_that_is_not_there"):
        cluster.start()
    assert not cluster.is_alive()
    assert os.listdir(short_path) == ["broken.py"]  # noqa: PTH208
