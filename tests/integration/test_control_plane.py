"""The control plane behind real gRPC on a unix socket, its runner played by the test."""

from __future__ import annotations

import base64
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from armonik.protogen.client.events_service_pb2_grpc import EventsStub
from armonik.protogen.client.results_service_pb2_grpc import ResultsStub
from armonik.protogen.client.sessions_service_pb2_grpc import SessionsStub
from armonik.protogen.client.tasks_service_pb2_grpc import TasksStub
from armonik.protogen.common import (
    events_common_pb2,
    results_common_pb2,
    sessions_common_pb2,
    tasks_common_pb2,
)

from pymonik.cluster.control_plane import ControlPlane
from pymonik.cluster.dispatch import Dispatch
from pymonik.cluster.locked_state import LockedState, microseconds
from pymonik.cluster.messages import result_raw
from pymonik.cluster.services.server import serve
from pymonik.cluster.state.rows import Partition
from pymonik.cluster.state.work import Assignment, Start, Stopped, Succeeded
from pymonik.cluster.storage import Storage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TIMEOUT_S = 20.0


class Client:
    """Stubs of one connection, and the requests that the tests make."""

    def __init__(self, address: str) -> None:
        # A connection of its own for each client, as if it were another process.
        options = [("grpc.use_local_subchannel_pool", 1)]
        self.channel = grpc.insecure_channel(address, options=options)
        self.sessions = SessionsStub(self.channel)
        self.tasks = TasksStub(self.channel)
        self.results = ResultsStub(self.channel)
        self.events = EventsStub(self.channel)

    def session(self) -> str:
        request = sessions_common_pb2.CreateSessionRequest(
            default_task_option={"max_duration": {"seconds": 60}, "max_retries": 2, "priority": 1}
        )
        return str(self.sessions.CreateSession(request, timeout=TIMEOUT_S).session_id)

    def result(self, session_id: str, data: bytes | None = None) -> str:
        if data is None:
            create, request = (
                self.results.CreateResultsMetaData,
                results_common_pb2.CreateResultsMetaDataRequest(
                    session_id=session_id, results=[{"name": "output"}]
                ),
            )
        else:
            create, request = (
                self.results.CreateResults,
                results_common_pb2.CreateResultsRequest(
                    session_id=session_id, results=[{"name": "payload", "data": data}]
                ),
            )
        return str(create(request, timeout=TIMEOUT_S).results[0].result_id)

    def submit(self, session_id: str, output_id: str) -> str:
        request = tasks_common_pb2.SubmitTasksRequest(
            session_id=session_id,
            task_creations=[
                {
                    "payload_id": self.result(session_id, b"payload"),
                    "expected_output_keys": [output_id],
                }
            ],
        )
        return str(self.tasks.SubmitTasks(request, timeout=TIMEOUT_S).task_infos[0].task_id)

    def completions(self, session_id: str) -> Any:
        request = events_common_pb2.EventSubscriptionRequest(
            session_id=session_id,
            returned_events=[
                events_common_pb2.EVENTS_ENUM_RESULT_STATUS_UPDATE,
                events_common_pb2.EVENTS_ENUM_NEW_RESULT,
            ],
        )
        return self.events.GetEvents(request, timeout=TIMEOUT_S)

    def download(self, session_id: str, result_id: str) -> bytes:
        request = results_common_pb2.DownloadResultDataRequest(
            session_id=session_id, result_id=result_id
        )
        answer = self.results.DownloadResultData(request, timeout=TIMEOUT_S)
        return b"".join(chunk.data_chunk for chunk in answer)

    def upload(self, session_id: str, result_id: str, chunks: list[bytes]) -> Any:
        message = results_common_pb2.UploadResultDataRequest
        identifier = {"session_id": session_id, "result_id": result_id}
        stream = [message(id=identifier), *(message(data_chunk=chunk) for chunk in chunks)]
        return self.results.UploadResultData(iter(stream), timeout=TIMEOUT_S).result


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path / "objects")


@pytest.fixture
def state(storage: Storage) -> Iterator[LockedState]:
    state = LockedState([Partition("P")], storage, default_partition="P")
    yield state
    state.close()


@pytest.fixture
def dispatch(state: LockedState, storage: Storage) -> Dispatch:
    return Dispatch(state, storage)


@pytest.fixture
def connect(state: LockedState, storage: Storage, tmp_path: Path) -> Iterator[Callable[[], Client]]:
    address = f"unix:{tmp_path / 'cluster.sock'}"
    server = serve(ControlPlane(state, storage), address)
    clients: list[Client] = []

    def connected() -> Client:
        clients.append(Client(address))
        return clients[-1]

    yield connected
    for client in clients:
        client.channel.close()
    state.close()
    server.stop(None).wait(TIMEOUT_S)


@pytest.fixture
def runner(state: LockedState, dispatch: Dispatch) -> Iterator[None]:
    """Gives the payload of each task back as its outputs, until the state is closed."""

    def run() -> None:
        while task := acquire(dispatch):
            if dispatch.start(task.task_id, pod_id="pod") is Start.RUN:
                data = task.data[task.payload_id]
                outputs = dict.fromkeys(task.expected_output_ids, data)
                dispatch.finish(task.task_id, Succeeded(data=outputs))

    thread = threading.Thread(target=run, name="runner")
    thread.start()
    yield
    state.close()
    thread.join(TIMEOUT_S)
    assert not thread.is_alive()


def acquire(
    dispatch: Dispatch, on_cancel: Callable[[str], None] = lambda _: None
) -> Assignment | None:
    return dispatch.acquire("P", pod_id="pod", hostname="host", on_cancel=on_cancel)


def test_fifty_clients_submit_at_once_and_each_sees_its_result(
    connect: Callable[[], Client], runner: None
) -> None:
    def one(number: int) -> bytes:
        client = connect()
        session_id = client.session()
        output_id = client.result(session_id)
        events = client.completions(session_id)
        client.submit(session_id, output_id)
        for event in events:
            update = event.result_status_update
            if update.result_id == output_id and update.status == 2:
                break
        events.cancel()
        return client.download(session_id, output_id)

    with ThreadPoolExecutor(50) as threads:
        assert set(threads.map(one, range(50))) == {b"payload"}


def test_bytes_of_any_size_go_in_and_out(connect: Callable[[], Client]) -> None:
    client = connect()
    session_id = client.session()
    result_id = client.result(session_id)
    for chunks in ([], [b""], [b"abc", b"def"], [bytes(5_000_000), b"end"]):
        assert client.upload(session_id, result_id, chunks).size == sum(map(len, chunks))
        assert client.download(session_id, result_id) == b"".join(chunks)


def test_a_file_put_into_the_storage_can_be_imported_but_only_from_there(
    connect: Callable[[], Client], storage: Storage, tmp_path: Path
) -> None:
    client = connect()
    session_id = client.session()
    result_id = client.result(session_id)
    (storage.folder / "mine").write_bytes(b"abc")
    (tmp_path / "secret").write_bytes(b"secret")

    def import_(opaque_id: bytes) -> Any:
        request = results_common_pb2.ImportResultsDataRequest(
            session_id=session_id, results=[{"result_id": result_id, "opaque_id": opaque_id}]
        )
        return client.results.ImportResultsData(request, timeout=TIMEOUT_S)

    for outside in (b"../secret", b"", b".", b"\xff"):
        with pytest.raises(grpc.RpcError) as refused:
            import_(outside)
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    assert import_(b"mine").results[0].size == 3
    assert client.download(session_id, result_id) == b"abc"


def test_cancelling_a_running_task_reaches_its_runner(
    connect: Callable[[], Client], dispatch: Dispatch
) -> None:
    client = connect()
    session_id = client.session()
    task_id = client.submit(session_id, client.result(session_id))
    told: list[str] = []
    task = acquire(dispatch, told.append)
    assert task is not None
    assert dispatch.start(task_id, pod_id="pod") is Start.RUN
    request = tasks_common_pb2.CancelTasksRequest(task_ids=[task_id])
    assert client.tasks.CancelTasks(request, timeout=TIMEOUT_S).tasks[0].id == task_id
    assert told == [task_id]
    dispatch.finish(task_id, Stopped())
    answer = client.tasks.GetTask(
        tasks_common_pb2.GetTaskRequest(task_id=task_id), timeout=TIMEOUT_S
    )
    assert answer.task.status == 8  # CANCELLED


def test_a_deleted_session_leaves_no_file(
    connect: Callable[[], Client], storage: Storage, runner: None
) -> None:
    client = connect()
    session_id = client.session()
    output_id = client.result(session_id)
    events = client.completions(session_id)
    client.submit(session_id, output_id)
    assert any(event.result_status_update.result_id == output_id for event in events)
    request = sessions_common_pb2.DeleteSessionRequest(session_id=session_id)
    client.sessions.DeleteSession(request, timeout=TIMEOUT_S)
    assert list(storage.folder.iterdir()) == []


def test_broken_rules_of_validation_are_told_to_programs_too(
    connect: Callable[[], Client],
) -> None:
    client = connect()
    options = {"max_duration": {"seconds": 1}, "max_retries": 0, "priority": 100}
    request = sessions_common_pb2.CreateSessionRequest(default_task_option=options)
    with pytest.raises(grpc.RpcError) as refused:
        client.sessions.CreateSession(request, timeout=TIMEOUT_S)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    error: Any = refused.value
    trailers = dict(error.trailing_metadata())
    rules = json.loads(base64.b64decode(trailers["validation-errors-text"]))
    assert [rule["PropertyName"] for rule in rules] == [
        "DefaultTaskOption.MaxRetries",
        "DefaultTaskOption.Priority",
    ]
    assert [rule["AttemptedValue"] for rule in rules] == [0, 100]
    for line, rule in zip(error.details().splitlines(), rules, strict=True):
        assert line.endswith(rule["ErrorMessage"])


def test_instants_are_told_to_the_microsecond(storage: Storage) -> None:
    now = 1_700_000_000_123_456_000
    state = LockedState([Partition("P")], storage, clock=lambda: now)
    result = results_common_pb2.ResultRaw()
    ControlPlane(state, storage).create_results(
        "any", [("", False, None)], lambda row: result.MergeFrom(result_raw(row))
    )
    assert result.created_at.ToMicroseconds() == now // 1000
    assert microseconds() % 1000 == 0


def test_small_data_are_no_files_and_can_be_downloaded_like_any(
    connect: Callable[[], Client], storage: Storage
) -> None:
    client = connect()
    session_id = client.session()
    request = results_common_pb2.CreateResultsRequest(
        session_id=session_id, results=[{"name": "payload", "data": b"payload"}]
    )
    answer = client.results.CreateResults(request, timeout=TIMEOUT_S)
    assert list(storage.folder.iterdir()) == []
    assert client.download(session_id, answer.results[0].result_id) == b"payload"


def test_closing_the_state_ends_streams_and_runners(
    connect: Callable[[], Client], state: LockedState, dispatch: Dispatch
) -> None:
    client = connect()
    session_id = client.session()
    client.result(session_id)
    events = client.completions(session_id)
    next(events)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(acquire, dispatch)
        state.close()
        assert waiting.result(TIMEOUT_S) is None
    with pytest.raises(grpc.RpcError) as ended:
        next(events)
    assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
