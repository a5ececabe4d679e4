"""The ArmoniK worker as its agent sees it: a process behind a socket, and a fake agent."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from armonik.protogen.common import agent_common_pb2 as pb
from armonik.protogen.common.objects_pb2 import Empty, TaskOptions
from armonik.protogen.common.worker_common_pb2 import HealthCheckReply, ProcessRequest
from armonik.protogen.worker.agent_service_pb2_grpc import (
    AgentServicer,
    add_AgentServicer_to_server,
)
from armonik.protogen.worker.worker_service_pb2_grpc import WorkerStub

from pymonik.code import codec, opened_result, packed_function
from pymonik.code.exceptions import exception_of
from pymonik.tasks.task import Task
from pymonik.wire import containers
from pymonik.wire.call import CallMeta, FunctionRef, PayloadMeta
from pymonik.wire.error_text import failure_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NONCE = "of the session"
TIMEOUT_S = 40.0


class FakeAgent(AgentServicer):  # type: ignore[misc]
    """Keeps what a worker asks for."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.notified: list[str] = []
        self.subtasks: list[Any] = []

    def CreateResultsMetaData(self, request: Any, context: Any) -> Any:  # noqa: N802
        reply = pb.CreateResultsMetaDataResponse()
        for one in request.results:
            result_id = str(uuid.uuid4())
            self.names[result_id] = one.name
            reply.results.add(result_id=result_id, name=one.name)
        return reply

    def NotifyResultData(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.notified += [one.result_id for one in request.ids]
        return pb.NotifyResultDataResponse(result_ids=[one.result_id for one in request.ids])

    def SubmitTasks(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.subtasks += request.task_creations
        return pb.SubmitTasksResponse(communication_token=request.communication_token)


class Worker:
    """The process of a worker, and what an agent does with it."""

    def __init__(self, folder: Path, *, tcp: bool = False) -> None:
        self.folder = folder
        self.agent = FakeAgent()
        self._agent_server = grpc.server(ThreadPoolExecutor(2))
        add_AgentServicer_to_server(self.agent, self._agent_server)
        if tcp:
            port = self._agent_server.add_insecure_port("127.0.0.1:0")
            agent, address = f"http://127.0.0.1:{port}", f"127.0.0.1:{_free_port()}"
            self.child = self._start(f"http://{address}", agent, "tcp")
        else:
            agent, path = f"{folder}/agent.sock", folder / "worker.sock"
            self._agent_server.add_insecure_port(f"unix:{agent}")
            path.touch()  # a file that a killed worker left
            address = f"unix:{path}"
            self.child = self._start(str(path), agent, "unixdomainsocket")
        self._agent_server.start()
        self._channel = grpc.insecure_channel(address, [("grpc.initial_reconnect_backoff_ms", 20)])
        self.stub = WorkerStub(self._channel)
        self.stub.HealthCheck(Empty(), timeout=TIMEOUT_S, wait_for_ready=True)

    def _start(self, worker: str, agent: str, kind: str) -> subprocess.Popen[bytes]:
        variables = {
            "ComputePlane__WorkerChannel__Address": worker,
            "ComputePlane__WorkerChannel__SocketType": kind,
            "ComputePlane__AgentChannel__Address": agent,
            "ComputePlane__AgentChannel__SocketType": kind,
        }
        with (self.folder / "log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "pymonik.worker"],
                env={**os.environ, **variables},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def request(self, function: Callable[..., Any], *args: object, **options: Any) -> Any:
        """The request that runs ``function``, its files laid out as an agent does."""
        name = getattr(function, "__name__", "function")
        packed = codec.pack_call(args, {})
        shipped = packed_function.pack_function(Task(function, func_name=name), name)
        meta = PayloadMeta(
            nonce=NONCE,
            function=FunctionRef(shipped.content_id, "function", name),
            calls=(CallMeta(len(packed.blobs)),),
        )
        return self.raw_request(
            {
                "payload": b"".join(containers.join(meta, packed.blobs)),
                "function": shipped.container,
            },
            **options,
        )

    def raw_request(self, files: dict[str, bytes], **options: Any) -> Any:
        token = str(uuid.uuid4())
        data_folder = self.folder / token
        data_folder.mkdir()
        for name, data in files.items():
            (data_folder / name).write_bytes(data)
        message = TaskOptions(
            **{"priority": 1, "max_retries": 2, "partition_id": "here", **options}
        )
        message.max_duration.FromSeconds(300)
        return ProcessRequest(
            communication_token=token,
            session_id="session",
            task_id=str(uuid.uuid4()),
            task_options=message,
            expected_output_keys=["output"],
            payload_id="payload",
            data_dependencies=[name for name in files if name != "payload"],
            data_folder=str(data_folder),
        )

    def process(self, request: Any, timeout: float = TIMEOUT_S) -> Any:
        return self.stub.Process(request, timeout=timeout).output

    def value(self, request: Any, result_id: str = "output") -> Any:
        assert result_id in self.agent.notified
        return opened_result.OpenedResult(Path(request.data_folder, result_id).read_bytes()).value()

    def close(self) -> None:
        self._channel.close()
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait(TIMEOUT_S)
        self._agent_server.stop(0).wait(TIMEOUT_S)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture
def worker(request: pytest.FixtureRequest) -> Iterator[Worker]:
    folder = Path(tempfile.mkdtemp(prefix="pymonik-"))  # pytest's is too long for a socket
    worker = Worker(folder, tcp=getattr(request, "param", "unix") == "tcp")
    try:
        yield worker
    finally:
        worker.close()
        shutil.rmtree(folder, ignore_errors=True)


def add(a: int, b: int) -> int:
    return a + b


def divide(a: int, b: int) -> float:
    return a / b


def fill(size: int) -> int:
    return len(b"x" * size)


def die() -> None:
    os._exit(7)


def speak() -> None:
    print("to the output")  # noqa: T201
    print("to the errors", file=sys.stderr)  # noqa: T201


def stay() -> None:
    threading.Event().wait()


def spawn() -> Any:
    return Task(add, func_name="add").invoke(1, Task(add, func_name="add").invoke(2, 3))


def meet(begun: str, go: str) -> str:
    """Say on one named pipe that the task runs, and wait on the other."""
    Path(begun).write_text("x")
    return Path(go).read_text()


class Meeting:
    """A task that runs until the test lets it go."""

    def __init__(self, folder: Path) -> None:
        self.begun, self.go = folder / "begun", folder / "go"
        os.mkfifo(self.begun)
        os.mkfifo(self.go)

    def begin(self, worker: Worker) -> tuple[Any, Any]:
        request = worker.request(meet, str(self.begun), str(self.go))
        call = worker.stub.Process.future(request, timeout=TIMEOUT_S)
        self.begun.read_text()
        return request, call

    def end(self) -> None:
        self.go.write_text("done")


def test_a_task_gets_no_more_memory_than_it_says_and_never_more_than_the_pod_allows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYMONIK_WORKER_MEMORY_LIMIT", "300M")
    folder = Path(tempfile.mkdtemp(prefix="pymonik-"))
    worker = Worker(folder)
    try:
        for said, limit in (("100000000", "95 MiB"), ("4000000000", "300 MiB")):
            request = worker.request(fill, 400 << 20, options={"pymonik.memory": said})
            assert limit in worker.process(request).error.details
        garbage = worker.request(fill, 1, options={"pymonik.memory": "much"})
        assert "is a size such as" in worker.process(garbage).error.details
        assert not worker.process(worker.request(add, 1, 2)).error.details
    finally:
        worker.close()
        shutil.rmtree(folder, ignore_errors=True)


def test_the_result_of_a_call_is_a_file_that_the_agent_is_told_of(worker: Worker) -> None:
    request = worker.request(add, 1, 2)
    assert worker.process(request).WhichOneof("type") == "ok"
    assert worker.value(request) == 3


@pytest.mark.parametrize("worker", ["tcp"], indirect=True)
def test_worker_and_agent_may_talk_over_tcp(worker: Worker) -> None:
    assert worker.process(worker.request(spawn)).WhichOneof("type") == "ok"
    assert len(worker.agent.subtasks) == 2
    worker.child.send_signal(signal.SIGTERM)
    assert worker.child.wait(TIMEOUT_S) == 0


def test_what_a_task_prints_reaches_the_log_with_its_id(worker: Worker) -> None:
    request = worker.request(speak)
    worker.process(request)
    lines = [json.loads(line) for line in worker.log.splitlines()]
    said = {line["@m"]: line for line in lines if line.get("task_id") == request.task_id}
    assert said["to the output"]["stream"] == "stdout"
    assert said["to the errors"]["stream"] == "stderr"


def test_an_exception_is_an_output_error_that_carries_it(worker: Worker) -> None:
    output = worker.process(worker.request(divide, 1, 0))
    assert "ZeroDivisionError" in output.error.details
    failure = failure_of(output.error.details, NONCE)
    assert failure is not None
    assert isinstance(exception_of(failure), ZeroDivisionError)
    assert NONCE not in output.error.details


def test_a_returned_subtask_takes_the_output_and_the_options_of_its_parent(worker: Worker) -> None:
    request = worker.request(spawn, priority=5, options={"label": "mine"})
    assert worker.process(request).WhichOneof("type") == "ok"
    assert len(worker.agent.subtasks) == 2
    outputs = {task.expected_output_keys[0]: task for task in worker.agent.subtasks}
    outer = outputs.pop("output")
    (inner_output,) = outputs
    assert inner_output in outer.data_dependencies
    assert "output" not in worker.agent.notified
    for task in worker.agent.subtasks:
        assert (task.task_options.priority, task.task_options.max_retries) == (5, 2)
        assert task.task_options.partition_id == "here"
        assert task.task_options.max_duration.seconds == 300
        assert task.task_options.options["label"] == "mine"
        assert task.payload_id in worker.agent.notified
        payload = Path(request.data_folder, task.payload_id).read_bytes()
        meta, _ = containers.split(payload)
        assert isinstance(meta, PayloadMeta)
        assert isinstance(meta.function, FunctionRef)
        assert meta.function.result_id in task.data_dependencies
        assert not meta.function.result_id.startswith("new:")


def test_user_code_that_ends_its_process_fails_the_call_and_not_the_worker(worker: Worker) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        worker.process(worker.request(die))
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert "7" in (caught.value.details() or "")
    request = worker.request(add, 1, 2)
    worker.process(request)
    assert worker.value(request) == 3


def test_a_cancelled_call_makes_room_for_the_next(worker: Worker, tmp_path: Path) -> None:
    _, call = Meeting(tmp_path).begin(worker)
    call.cancel()
    request = worker.request(add, 1, 2)
    worker.process(request)
    assert worker.value(request) == 3


def test_a_task_past_its_time_limit_is_stopped(worker: Worker) -> None:
    request = worker.request(stay)
    request.task_options.max_duration.FromMilliseconds(300)
    with pytest.raises(grpc.RpcError) as caught:
        worker.process(request)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert worker.process(worker.request(add, 1, 2)).WhichOneof("type") == "ok"


def test_health_is_answered_while_a_task_runs(worker: Worker, tmp_path: Path) -> None:
    meeting = Meeting(tmp_path)
    request, call = meeting.begin(worker)
    reply = worker.stub.HealthCheck(Empty(), timeout=TIMEOUT_S)
    assert reply.status == HealthCheckReply.SERVING
    assert not call.done()
    meeting.end()
    call.result(TIMEOUT_S)
    assert worker.value(request) == "done"


def test_a_probe_says_whether_the_worker_takes_tasks(worker: Worker, tmp_path: Path) -> None:
    def probe(address: Path) -> subprocess.CompletedProcess[str]:
        variables = {
            "ComputePlane__WorkerChannel__Address": str(address),
            "ComputePlane__WorkerChannel__SocketType": "unixdomainsocket",
        }
        return subprocess.run(
            [sys.executable, "-m", "pymonik.worker.health"],
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )

    there = probe(worker.folder / "worker.sock")
    assert (there.returncode, there.stderr) == (0, "")
    gone = probe(tmp_path / "nobody.sock")
    assert gone.returncode == 1
    assert "no answer at" in gone.stderr


def test_sigterm_lets_the_running_task_end_and_refuses_others(
    worker: Worker, tmp_path: Path
) -> None:
    meeting = Meeting(tmp_path)
    request, call = meeting.begin(worker)
    worker.child.send_signal(signal.SIGTERM)
    _wait_until_draining(worker)
    with pytest.raises(grpc.RpcError) as caught:
        worker.process(worker.request(add, 1, 2))
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    meeting.end()
    call.result(TIMEOUT_S)
    assert worker.value(request) == "done"
    assert worker.child.wait(TIMEOUT_S) == 0


def _wait_until_draining(worker: Worker) -> None:
    end = time.monotonic() + TIMEOUT_S
    while time.monotonic() < end:
        reply = worker.stub.HealthCheck(Empty(), timeout=TIMEOUT_S)
        if reply.status == HealthCheckReply.NOT_SERVING:
            return
    raise AssertionError("the worker does not drain")


def test_a_payload_of_others_is_refused_with_a_reason(worker: Worker) -> None:
    output = worker.process(worker.raw_request({"payload": b"hello"}))
    assert "tasks of pymonik" in output.error.details
    assert "hello" not in output.error.details
