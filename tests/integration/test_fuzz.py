"""Bad input, by the thousand: the cluster goes on serving and its tables stay consistent."""

from __future__ import annotations

import itertools
import random
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from armonik.protogen.client import (
    applications_service_pb2,
    auth_service_pb2,
    events_service_pb2,
    health_checks_service_pb2,
    partitions_service_pb2,
    results_service_pb2,
    sessions_service_pb2,
    tasks_service_pb2,
    versions_service_pb2,
)
from google.protobuf.message_factory import GetMessageClass

from pymonik.cluster.local import LocalCluster
from pymonik.cluster.storage import SMALL

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKER = Path(__file__).parents[1] / "workers" / "small_worker.py"
SERVICES = [
    service
    for module in (
        applications_service_pb2,
        auth_service_pb2,
        events_service_pb2,
        health_checks_service_pb2,
        partitions_service_pb2,
        results_service_pb2,
        sessions_service_pb2,
        tasks_service_pb2,
        versions_service_pb2,
    )
    for service in module.DESCRIPTOR.services_by_name.values()
]
METHODS = {method.full_name: method for service in SERVICES for method in service.methods}
REQUESTS = 40  # of each method and seed
TIMEOUT_S = 10.0
STREAM_S = 0.05  # events never end
PREFIX = "armonik.api.grpc.v1"


class Fuzzer:
    """Sends requests that no client would send, and IDs that exist in the wrong places.

    Args:
        channel: To the cluster.
        seed: Of what is random.
        ids: IDs that exist.
    """

    def __init__(self, channel: grpc.Channel, seed: int, ids: list[str]) -> None:
        self._channel = channel
        self._random = random.Random(seed)
        self._ids = ids

    def send(self, method: Any, *requests: bytes) -> tuple[str, str]:
        """Code and details of one call; the replies of a stream are read."""
        kind = f"{'stream' if method.client_streaming else 'unary'}_"
        kind += "stream" if method.server_streaming else "unary"
        path = f"/{method.containing_service.full_name}/{method.name}"
        argument = iter(requests) if method.client_streaming else requests[0]
        timeout = STREAM_S if method.name == "GetEvents" else TIMEOUT_S
        try:
            answer = getattr(self._channel, kind)(path)(argument, timeout=timeout)
            if method.server_streaming:
                list(itertools.islice(answer, 100))
                answer.cancel()
        except grpc.RpcError as error:
            return error.code().name, error.details() or ""
        return "OK", ""

    def message(self, descriptor: Any, depth: int = 0) -> Any:
        """A message with random fields, some of them absent."""
        made = GetMessageClass(descriptor)()
        for field in descriptor.fields:
            if self._random.random() < (0.25 if depth < 6 else 1):
                continue
            self._fill(made, field, depth)
        return made

    def mutated(self, data: bytes) -> bytes:
        """The bytes with some changed, added or cut off."""
        changed = bytearray(data)
        for _ in range(self._random.randint(1, 4)):
            if changed:
                changed[self._random.randrange(len(changed))] = self._random.randrange(256)
        if self._random.random() < 0.3:
            del changed[self._random.randrange(len(changed) + 1) :]
        return bytes(changed + self._random.randbytes(self._random.choice((0, 0, 5))))

    def _fill(self, message: Any, field: Any, depth: int) -> None:
        if _is_map(field):
            key, value = (field.message_type.fields_by_name[name] for name in ("key", "value"))
            if value.message_type is None:
                getattr(message, field.name)[self._value(key)] = self._value(value)
        elif field.message_type is not None and field.is_repeated:
            for _ in range(self._random.randrange(3)):
                getattr(message, field.name).add().CopyFrom(
                    self.message(field.message_type, depth + 1)
                )
        elif field.message_type is not None:
            getattr(message, field.name).CopyFrom(self.message(field.message_type, depth + 1))
        elif field.is_repeated:
            values = [self._value(field) for _ in range(self._random.randrange(4))]
            getattr(message, field.name).extend(values)
        else:
            setattr(message, field.name, self._value(field))

    def _value(self, field: Any) -> Any:
        pick = self._random.choice
        if field.cpp_type == field.CPPTYPE_STRING and field.type == field.TYPE_BYTES:
            return pick((b"", b"\0\xff", b"../../etc", self._random.randbytes(30)))
        if field.cpp_type == field.CPPTYPE_STRING:
            odd = ("", "é\u202e\0", "../x", "P", "Q", "x" * 5_000, "###1")
            return pick(self._ids) if self._random.random() < 0.6 else pick(odd)
        if field.cpp_type == field.CPPTYPE_BOOL:
            return pick((True, False))
        if field.cpp_type == field.CPPTYPE_ENUM:
            return pick((0, 1, 2, 3, 4, 7, 12, 99, -1))
        if field.cpp_type in (field.CPPTYPE_UINT32, field.CPPTYPE_UINT64):
            return pick((0, 1, 10, 2**32 - 1))
        wide = field.cpp_type == field.CPPTYPE_INT64
        return pick((0, 1, 2, 50, -1, 2**31 - 1, -(2**31), 2**62 if wide else 7))


def _is_map(field: Any) -> bool:
    kind = field.message_type
    return kind is not None and bool(kind.GetOptions().map_entry)


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    command = [sys.executable, str(WORKER)]
    with LocalCluster(partitions={"P": 1, "Q": 0}, worker=command, port=0) as cluster:
        yield cluster


@pytest.fixture
def channel(cluster: LocalCluster) -> Iterator[grpc.Channel]:
    """A connection; afterwards the cluster must be as sound as before."""
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    address = cluster.endpoint.removeprefix("http://")
    with grpc.insecure_channel(address, options) as channel:
        yield channel
        client = Client(channel)
        client.runs_a_task()
        client.is_consistent(cluster.storage_folder)


class Client:
    """What an ordinary client asks, to see that it is still answered."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel

    def call(self, name: str, request: Any = None, **fields: Any) -> Any:
        method = METHODS[f"{PREFIX}.{name}"]
        made = request or GetMessageClass(method.input_type)(**fields)
        path = f"/{method.containing_service.full_name}/{method.name}"
        reply = GetMessageClass(method.output_type)
        serializer = type(made).SerializeToString
        call = self._channel.unary_unary(path, serializer, reply.FromString)
        return call(made, timeout=TIMEOUT_S)

    def session(self) -> str:
        options = {"max_retries": 1, "priority": 1, "max_duration": {"seconds": 20}}
        made = self.call("sessions.Sessions.CreateSession", default_task_option=options)
        return str(made.session_id)

    def result(self, session_id: str, **fields: Any) -> str:
        name = "CreateResults" if fields else "CreateResultsMetaData"
        given = {"session_id": session_id, "results": [fields or {"name": "output"}]}
        return str(self.call(f"results.Results.{name}", **given).results[0].result_id)

    def submit(self, session_id: str, payload: bytes) -> tuple[str, str]:
        output = self.result(session_id)
        creation = {
            "payload_id": self.result(session_id, data=payload),
            "expected_output_keys": [output],
        }
        given = {"session_id": session_id, "task_creations": [creation]}
        task = self.call("tasks.Tasks.SubmitTasks", **given).task_infos[0].task_id
        return str(task), output

    def runs_a_task(self) -> None:
        """An ordinary task gets its result."""
        services = self.call("health_checks.HealthChecksService.CheckHealth").services
        assert {one.healthy for one in services} == {1}
        session_id = self.session()
        _, output = self.submit(session_id, b"double 21")
        method = METHODS[f"{PREFIX}.events.Events.GetEvents"]
        reply: Any = GetMessageClass(method.output_type)
        stream: Any = self._channel.unary_stream(
            f"/{method.containing_service.full_name}/{method.name}",
            response_deserializer=reply.FromString,
        )
        request = GetMessageClass(method.input_type)(session_id=session_id)
        call = stream(request.SerializeToString(), timeout=30)
        for event in call:
            known = (event.new_result, event.result_status_update)
            if any((one.result_id, one.status) == (output, 2) for one in known):
                break
        call.cancel()

    def rows(self, name: str, field: dict[str, Any]) -> Any:
        sort = {"field": field, "direction": 1}
        return self.call(name, filters={}, sort=sort, page_size=100_000)

    def results_and_files_agree(self, storage: Path) -> Any:
        """All results, once every object is one's; tasks may end and streams break meanwhile."""
        pause = threading.Event()
        for _ in range(int(TIMEOUT_S / 0.05)):
            results = self.rows("results.Results.ListResults", {"result_raw_field": {"field": 4}})
            stored = [one for one in results.results if one.opaque_id]
            objects = {one.opaque_id.decode() for one in stored}
            large = {one.opaque_id.decode() for one in stored if one.size > SMALL}
            files = {path.name for path in storage.glob("[!.]*")}
            if large <= files <= objects:  # what is small is in memory until a file is needed
                return results
            pause.wait(0.05)
        raise AssertionError("objects without result, or results without object")

    def is_consistent(self, storage: Path) -> None:
        """Tables agree with each other and with the files; nothing is left of what is deleted."""
        results = self.results_and_files_agree(storage)
        tasks = self.rows("tasks.Tasks.ListTasks", {"task_summary_field": {"field": 1}})
        counts = self.call("tasks.Tasks.CountTasksByStatus").status
        assert sum(one.count for one in counts) == tasks.total == len(tasks.tasks)
        for session_id in {one.session_id for one in (*results.results, *tasks.tasks)}:
            self.call("sessions.Sessions.DeleteSession", session_id=session_id)
        assert not list(storage.glob("[!.]*"))


@pytest.fixture
def ids(channel: grpc.Channel) -> list[str]:
    """IDs of a session, of tasks that wait, run and have ended, and of results."""
    client = Client(channel)
    session_id = client.session()
    tasks = [client.submit(session_id, b"double 4") for _ in range(3)]
    return [session_id, client.result(session_id), *itertools.chain(*tasks)]


@pytest.mark.parametrize("seed", [1, 2])
def test_random_requests_are_answered(channel: grpc.Channel, ids: list[str], seed: int) -> None:
    fuzzer = Fuzzer(channel, seed, ids)
    for method in METHODS.values():
        for _ in range(REQUESTS if method.name != "GetEvents" else 10):
            request = fuzzer.message(method.input_type)
            code, details = fuzzer.send(method, request.SerializeToString())
            assert not details.startswith("Exception"), (method.name, details, str(request))
            assert code != "DEADLINE_EXCEEDED" or method.name == "GetEvents"


def test_mutated_requests_are_answered(channel: grpc.Channel, ids: list[str]) -> None:
    fuzzer = Fuzzer(channel, 3, ids)
    for method in METHODS.values():
        for _ in range(REQUESTS if method.name != "GetEvents" else 10):
            data = fuzzer.mutated(fuzzer.message(method.input_type).SerializeToString())
            _, details = fuzzer.send(method, data)
            assert not details.startswith("Exception calling"), (method.name, details, data)
            assert not details.startswith("Exception iterating"), (method.name, details, data)


def test_uploads_in_a_wrong_order_or_cut_leave_nothing(
    channel: grpc.Channel, ids: list[str], cluster: LocalCluster
) -> None:
    method = METHODS[f"{PREFIX}.results.Results.UploadResultData"]
    message = GetMessageClass(method.input_type)
    chance = random.Random(4)
    fuzzer = Fuzzer(channel, 4, ids)
    session_id, result_id = ids[:2]
    parts = [
        message(id={"session_id": session_id, "result_id": result_id}),
        message(id={"session_id": "none", "result_id": result_id}),
        message(id={"session_id": session_id, "result_id": "none"}),
        message(data_chunk=b"chunk" * 1000),
        message(),
    ]
    for _ in range(60):
        sent = [chance.choice(parts).SerializeToString() for _ in range(chance.randrange(5))]
        _, details = fuzzer.send(method, *sent)
        assert not details.startswith("Exception"), details
    path = f"/{method.containing_service.full_name}/{method.name}"
    for _ in range(20):
        begun = iter([parts[0].SerializeToString(), parts[3].SerializeToString()])
        upload: Any = channel.stream_unary(path)
        call = upload.future(_then_nothing(begun), timeout=TIMEOUT_S)
        call.cancel()


def test_huge_fields_are_answered(channel: grpc.Channel, ids: list[str]) -> None:
    client, session_id = Client(channel), ids[0]
    big = "n" * 20_000_000
    result_id = client.result(session_id, name=big, data=b"x" * 20_000_000)
    answer = client.call("results.Results.GetResult", result_id=result_id).result
    assert (len(answer.name), answer.size) == (20_000_000, 20_000_000)
    with pytest.raises(grpc.RpcError) as refusal:
        client.call("tasks.Tasks.GetTask", task_id=big)
    assert refusal.value.code() in {
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.INTERNAL,
    }
    creation = {"payload_id": ids[1], "expected_output_keys": [session_id] * 50_000}
    given = {"session_id": session_id, "task_creations": [creation]}
    assert client.call("tasks.Tasks.SubmitTasks", **given).task_infos


def _then_nothing(parts: Iterator[bytes]) -> Iterator[bytes]:
    """The parts of a stream that then breaks."""
    yield from parts
    raise ConnectionError("cut on purpose")
