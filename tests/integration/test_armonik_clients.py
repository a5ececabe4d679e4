"""The client classes of the `armonik` package, as they are, against an embedded cluster."""

from __future__ import annotations

import inspect
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from armonik import client as armonik_client
from armonik.client import (
    ArmoniKEvents,
    ArmoniKHealthChecks,
    ArmoniKPartitions,
    ArmoniKResults,
    ArmoniKSessions,
    ArmoniKTasks,
    ArmoniKVersions,
)
from armonik.common import (
    Direction,
    EventTypes,
    Partition,
    Result,
    ResultStatus,
    Session,
    SessionStatus,
    Task,
    TaskDefinition,
    TaskOptions,
    TaskStatus,
)

from pymonik.cluster.local import LocalCluster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WORKER = Path(__file__).parents[1] / "workers" / "small_worker.py"
DEADLINE_S = 30.0


@pytest.fixture(scope="module")
def channel() -> Iterator[grpc.Channel]:
    command = [sys.executable, str(WORKER)]
    with (
        LocalCluster(partitions={"P": 1, "Q": 0}, worker=command, port=0) as cluster,
        grpc.insecure_channel(cluster.endpoint.removeprefix("http://")) as channel,
    ):
        yield channel


@pytest.fixture(scope="module")
def sessions(channel: grpc.Channel) -> Any:
    return ArmoniKSessions(channel)


@pytest.fixture(scope="module")
def tasks(channel: grpc.Channel) -> Any:
    return ArmoniKTasks(channel)


@pytest.fixture(scope="module")
def results(channel: grpc.Channel) -> Any:
    return ArmoniKResults(channel)


@pytest.fixture(scope="module")
def events(channel: grpc.Channel) -> Any:
    return ArmoniKEvents(channel)


@pytest.fixture
def session_id(sessions: Any) -> str:
    return str(sessions.create_session(_options(), ["P", "Q"]))


def _options(**changes: Any) -> Any:
    values: dict[str, Any] = {
        "max_duration": timedelta(seconds=30),
        "priority": 1,
        "max_retries": 2,
        "partition_id": "P",
        "application_name": "clients",
        "options": {"colour": "blue"},
    }
    return TaskOptions(**(values | changes))


def _submitted(
    results: Any, tasks: Any, session_id: str, payload: bytes, **options: Any
) -> tuple[str, str]:
    """Submit one task; gives its ID and that of its output."""
    output = results.create_results_metadata(["output"], session_id)["output"].result_id
    data = results.create_results({"payload": payload}, session_id)["payload"].result_id
    definition = TaskDefinition(payload_id=data, expected_output_ids=[output])
    chosen = _options(**options) if options else None
    (task,) = tasks.submit_tasks(session_id, [definition], chosen)
    return task.id, output


def _eventually(read: Callable[[], Any], wanted: Any) -> None:
    pause = threading.Event()
    for _ in range(int(DEADLINE_S / 0.02)):
        if read() == wanted:
            return
        pause.wait(0.02)
    assert read() == wanted


def test_every_public_method_of_the_clients_is_called_here() -> None:
    source = Path(__file__).read_text()
    classes = [vars(armonik_client)[name] for name in dir(armonik_client) if "ArmoniK" in name]
    methods = {
        name
        for one in classes
        for name, _ in inspect.getmembers(one, inspect.isfunction)
        if not name.startswith("_")
    }
    assert methods
    assert not [name for name in methods if f".{name}(" not in source]


def test_a_session_is_created_read_and_listed(sessions: Any, session_id: str) -> None:
    session = sessions.get_session(session_id)
    assert session.status == SessionStatus.RUNNING
    assert session.partition_ids == ["P", "Q"]
    assert session.options.options == {"colour": "blue"}
    assert session.options.max_duration == timedelta(seconds=30)

    total, found = sessions.list_sessions(Session.session_id == session_id)
    assert (total, [one.session_id for one in found]) == (1, [session_id])
    total, _ = sessions.list_sessions(
        (Session.status == SessionStatus.RUNNING) & (Session.options["colour"] == "blue"),
        page_size=1,
        sort_field=Session.created_at,
        sort_direction=Direction.DESC,
    )
    assert total >= 1


def test_a_session_goes_through_its_whole_life(sessions: Any, session_id: str) -> None:
    assert sessions.pause_session(session_id).status == SessionStatus.PAUSED
    assert sessions.resume_session(session_id).status == SessionStatus.RUNNING
    stopped = sessions.stop_submission_session(session_id, client=True, worker=False)
    assert (stopped.client_submission, stopped.worker_submission) == (False, True)
    closed = sessions.close_session(session_id)
    assert closed.status == SessionStatus.CLOSED
    assert closed.closed_at is not None
    assert sessions.purge_session(session_id).status == SessionStatus.PURGED
    assert sessions.delete_session(session_id).status == SessionStatus.DELETED
    with pytest.raises(grpc.RpcError) as refusal:
        sessions.get_session(session_id)
    assert refusal.value.code() is grpc.StatusCode.NOT_FOUND


def test_a_cancelled_session_aborts_its_results(
    sessions: Any, results: Any, tasks: Any, session_id: str
) -> None:
    _, output = _submitted(results, tasks, session_id, b"double 1", partition_id="Q")
    assert sessions.cancel_session(session_id).status == SessionStatus.CANCELLED
    assert results.get_result(output).status == ResultStatus.ABORTED


def test_a_task_runs_and_its_result_is_waited_for(
    results: Any, tasks: Any, events: Any, session_id: str
) -> None:
    task_id, output = _submitted(results, tasks, session_id, b"double 21")
    events.wait_for_result_availability(output, session_id)
    assert results.download_result_data(output, session_id) == b"42"
    _eventually(lambda: tasks.get_task(task_id).status, TaskStatus.COMPLETED)

    task = tasks.get_task(task_id)
    assert (task.session_id, task.expected_output_ids) == (session_id, [output])
    assert task.options.application_name == "clients"
    assert task.output.success
    assert task.ended_at >= task.started_at >= task.submitted_at >= task.created_at
    assert tasks.get_result_ids([task_id]) == {task_id: [output]}
    assert results.get_owner_task_id([output], session_id) == {"output": task_id}


def test_a_worker_submits_a_task_that_delivers_for_it(
    results: Any, tasks: Any, events: Any, session_id: str
) -> None:
    task_id, output = _submitted(results, tasks, session_id, b"delegate")
    events.wait_for_result_availability([output], session_id, parallelism=2)
    assert results.download_result_data(output, session_id) == b"42"
    assert results.get_result(output).owner_task_id != task_id


def test_an_aborted_result_ends_the_wait(
    results: Any, tasks: Any, events: Any, session_id: str
) -> None:
    task_id, output = _submitted(results, tasks, session_id, b"fail")
    with pytest.raises(RuntimeError, match="has been aborted"):
        events.wait_for_result_availability(output, session_id)
    assert tasks.get_task(task_id).output.error == "refused"


def test_tasks_are_listed_counted_and_cancelled(results: Any, tasks: Any, session_id: str) -> None:
    task_ids = {
        _submitted(results, tasks, session_id, b"double 1", partition_id="Q")[0] for _ in range(3)
    }
    mine = Task.session_id == session_id
    total, page = tasks.list_tasks(mine, page_size=2, sort_field=Task.created_at)
    assert (total, len(page)) == (3, 2)
    total, rest = tasks.list_tasks(mine, page=1, page_size=2, sort_field=Task.created_at)
    assert {one.id for one in page + rest} == task_ids
    _, summaries = tasks.list_tasks(mine & (Task.options.partition_id == "Q"), detailed=False)
    assert {one.id for one in summaries} == task_ids
    assert tasks.count_tasks_by_status(mine) == {TaskStatus.SUBMITTED: 3}
    tasks.cancel_tasks(sorted(task_ids))
    assert tasks.count_tasks_by_status(mine) == {TaskStatus.CANCELLING: 3}


def test_results_are_created_uploaded_shared_and_deleted(results: Any, session_id: str) -> None:
    made = results.create_results_metadata(["a", "b"], session_id)
    a, b = made["a"].result_id, made["b"].result_id
    data = bytes(range(256)) * (3 * results.get_service_config() // 256)
    results.upload_result_data(a, session_id, data)
    raw = results.get_result(a)
    assert (raw.status, raw.size) == (ResultStatus.COMPLETED, len(data))
    assert results.download_result_data(a, session_id) == data

    shared = results.import_data(session_id, [(b, raw.opaque_id)])
    assert shared[b].status == ResultStatus.COMPLETED
    results.delete_result_data([a], session_id)
    assert results.get_result(a).status == ResultStatus.DELETED

    total, found = results.list_results(
        (Result.session_id == session_id) & (Result.status == ResultStatus.DELETED),
        sort_field=Result.created_at,
    )
    assert (total, [one.result_id for one in found]) == (1, [a])
    with pytest.warns(DeprecationWarning, match="deprecated"):
        assert list(results.get_results_ids(session_id, ["c"])) == ["c"]
    with pytest.raises(NotImplementedError):  # the client's own
        results.watch_results()


def test_events_are_handled_until_a_handler_has_enough(
    results: Any, tasks: Any, events: Any, session_id: str
) -> None:
    task_id, _ = _submitted(results, tasks, session_id, b"double 2")
    seen: list[Any] = []

    def handler(of: str, kind: Any, event: Any) -> bool:
        assert of == session_id
        seen.append((kind, event.task_id, event.status))
        return bool(event.status == TaskStatus.COMPLETED)

    events.get_events(
        session_id,
        [EventTypes.NEW_TASK, EventTypes.TASK_STATUS_UPDATE],
        [handler],
        task_filter=Task.id == task_id,
    )
    assert seen[0][0] == EventTypes.NEW_TASK
    assert {one for _, one, _ in seen} == {task_id}
    assert seen[-1][2] == TaskStatus.COMPLETED


def test_partitions_are_listed_and_read(channel: grpc.Channel) -> None:
    partitions: Any = ArmoniKPartitions(channel)
    total, found = partitions.list_partitions(sort_field=Partition.id)
    assert (total, [one.id for one in found]) == (2, ["P", "Q"])
    assert partitions.get_partition("Q").id == "Q"


def test_versions_and_health_are_told(channel: grpc.Channel) -> None:
    versions: Any = ArmoniKVersions(channel)
    health: Any = ArmoniKHealthChecks(channel)
    assert versions.list_versions().keys() == {"core", "api"}
    assert list(health.check_health()) == ["database", "object", "queue"]
