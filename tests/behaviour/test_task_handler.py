"""`ctx.task_handler` is ArmoniK's own on both clusters."""

from __future__ import annotations

import dataclasses
import multiprocessing
import threading
from typing import TYPE_CHECKING, Any

import armonik.worker
import grpc
import pytest
from armonik.client import ArmoniKResults
from armonik.common import TaskDefinition

from pymonik import Pymonik, PymonikContext, TaskOptions, task
from pymonik.errors import ControlPlaneError, UsageError

if TYPE_CHECKING:
    from pymonik.cluster.local import LocalCluster

TIMEOUT_S = 50.0


@task(require_context=True)
def described(ctx: PymonikContext, value: Any) -> dict[str, Any]:
    handler = ctx.task_handler
    dependencies = handler.data_dependencies
    return {
        "type": f"{type(handler).__module__}.{type(handler).__name__}",
        "is_same": handler is ctx.task_handler,
        "is_mine": (handler.task_id, handler.session_id) == (ctx.task_id, ctx.session_id),
        "outputs": handler.expected_results,
        "dependencies": {one: len(dependencies[one]) for one in dependencies},
        "payload": len(handler.payload),
        "priority": handler.task_options.priority,
        "token": bool(handler.token),
        "chunk": handler.configuration.data_chunk_max_size,
        "value": value,
    }


@task(require_context=True)
def extra_results(ctx: PymonikContext) -> tuple[str, str]:
    handler = ctx.task_handler
    (later,) = handler.create_results_metadata(["later"]).values()
    handler.send_results({later.result_id: b"sent later"})
    (now,) = handler.create_results({"now": b"sent now"}).values()
    return now.result_id, later.result_id


@task(require_context=True)
def own_output(ctx: PymonikContext, *, returns: bool = False) -> Any:
    handler = ctx.task_handler
    handler.send_results({handler.expected_results[0]: b"its own bytes"})
    return 1 if returns else None


@task(require_context=True)
def again(ctx: PymonikContext, value: int) -> Any:
    """The first attempt has a task with the same payload promise its output."""
    if ctx.options.options.get("turn") == "second":
        return value, ctx.task_id
    handler = ctx.task_handler
    (payload,) = handler.create_results({"payload": handler.payload}).values()
    options = dataclasses.replace(handler.task_options, options={"turn": "second"})
    (submitted,) = handler.submit_tasks(
        [
            TaskDefinition(
                payload_id=payload.result_id,
                expected_output_ids=handler.expected_results,
                data_dependencies=list(handler.data_dependencies),
            )
        ],
        default_task_options=options,
    )
    if not submitted.id:
        raise ValueError("the task that was submitted has no id")
    return None


@task(require_context=True)
def fails_after_sending(ctx: PymonikContext) -> None:
    ctx.task_handler.create_results({"of a failure": b"data"})
    raise ValueError("after sending")


@task(require_context=True)
def fetched(ctx: PymonikContext, result_id: str) -> bytes:
    data: bytes = ctx.task_handler.get_resource_data(result_id)
    return data


@task(require_context=True)
def from_threads(ctx: PymonikContext) -> int:
    created: list[str] = []

    def create(number: int) -> None:
        ctx.report(number=number)
        created.extend(
            one.result_id for one in ctx.task_handler.create_results({f"of {number}": b""}).values()
        )

    ctx.task_handler.create_results({"first": b""})
    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(set(created))


@task(require_context=True)
def from_a_child(ctx: PymonikContext) -> str:
    handler = ctx.task_handler

    def create(answers: Any) -> None:
        try:
            handler.create_results({"of a child": b""})
        except UsageError as error:
            answers.put(str(error))

    fork = multiprocessing.get_context("fork")
    answers = fork.SimpleQueue()
    child = fork.Process(target=create, args=(answers,))
    child.start()
    answer: str = answers.get()
    child.join()
    return answer


@task(require_context=True)
def uses_a_kept_handler(ctx: PymonikContext) -> None:
    """Use the handler of the first task of this executor."""
    kept = vars(armonik.worker).setdefault("kept_by_a_test", [])
    if kept:
        kept[0].create_results({"too late": b""})
    kept.append(ctx.task_handler)


def _downloaded(cluster: LocalCluster, client: Pymonik, result_id: str) -> bytes:
    with grpc.insecure_channel(cluster.endpoint.removeprefix("http://")) as channel:
        data: bytes = ArmoniKResults(channel).download_result_data(result_id, client.session_id)
    return data


def test_it_is_the_handler_of_armonik_and_knows_the_task(client: Pymonik) -> None:
    needed = client.put([1, 2, 3])
    handle = described.invoke(needed, task_options=TaskOptions(priority=4))
    seen = handle.result(timeout=TIMEOUT_S)
    assert seen["type"] == "armonik.worker.taskhandler.TaskHandler"
    assert seen["is_same"]
    assert seen["is_mine"]
    assert seen["outputs"] == [handle.result_id]
    assert seen["dependencies"][needed.result_id] > 0
    assert seen["payload"] > 0
    assert (seen["priority"], seen["value"]) == (4, [1, 2, 3])
    assert seen["token"]
    assert seen["chunk"] > 0


def test_results_are_created_and_sent(cluster: LocalCluster, client: Pymonik) -> None:
    now, later = extra_results.invoke().result(timeout=TIMEOUT_S)
    assert _downloaded(cluster, client, now) == b"sent now"
    assert _downloaded(cluster, client, later) == b"sent later"
    assert fetched.invoke(later).result(timeout=TIMEOUT_S) == b"sent later"


def test_a_task_may_send_its_own_output(cluster: LocalCluster, client: Pymonik) -> None:
    handle = own_output.invoke()
    handle.wait(timeout=TIMEOUT_S)
    assert handle.result_id is not None
    assert _downloaded(cluster, client, handle.result_id) == b"its own bytes"


def test_a_task_that_sends_its_output_returns_nothing(client: Pymonik) -> None:
    with pytest.raises(UsageError, match="returned a value too"):
        own_output.invoke(returns=True).result(timeout=TIMEOUT_S)


def test_calls_of_a_chunk_cannot_send_their_common_output(client: Pymonik) -> None:
    sent = own_output.map_invoke([() for _ in range(3)], chunk_size=3)
    with pytest.raises(UsageError, match="chunk_size=1"):
        sent.result(timeout=TIMEOUT_S)


def test_a_task_that_was_submitted_gives_the_output(client: Pymonik) -> None:
    handle = again.invoke(7)
    value, _task_id = handle.result(timeout=TIMEOUT_S)
    assert value == 7


def test_nothing_of_a_failed_task_exists(cluster: LocalCluster, client: Pymonik) -> None:
    with pytest.raises(ValueError, match="after sending"):
        fails_after_sending.invoke().result(timeout=TIMEOUT_S)
    assert not list(client.results(name="of a failure"))


def test_what_is_not_there_is_refused(client: Pymonik) -> None:
    with pytest.raises(ControlPlaneError, match="GetResourceData"):
        fetched.invoke("nothing has this id").result(timeout=TIMEOUT_S)


def test_threads_of_a_task_may_ask(client: Pymonik) -> None:
    assert from_threads.invoke().result(timeout=TIMEOUT_S) == 8


def test_children_of_a_task_may_not(client: Pymonik) -> None:
    assert "process of the task" in from_a_child.invoke().result(timeout=TIMEOUT_S)


def test_a_handler_ends_with_its_task(client: Pymonik) -> None:
    calls = [uses_a_kept_handler.invoke() for _ in range(8)]  # more than executors
    with pytest.raises(UsageError, match="has ended"):
        _values(calls)


def _values(calls: list[Any]) -> list[Any]:
    return [call.result(timeout=TIMEOUT_S) for call in calls]
