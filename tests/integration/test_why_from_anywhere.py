"""`why()` of handles, maps and clients, and `pymonik why`: the same reasons, wherever one asks."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import psutil
import pytest
from armonik.client import ArmoniKResults, ArmoniKSessions, ArmoniKTasks
from armonik.common import TaskDefinition, TaskOptions

from pymonik import LocalCluster, Pymonik, WaitTimeoutError, get_context, task
from pymonik.runs import reasons
from pymonik.transport.channel import open_channel
from pymonik.transport.config import ClusterConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TIMEOUT_S = 60


@task
def inc(number: int) -> int:
    return number + 1


@task
def stay(_: object = None) -> None:
    threading.Event().wait()


@task
def refuse(number: int) -> int:
    raise ValueError(f"not {number}")


@task(max_retries=2)
def die_at_first() -> None:
    if get_context().attempt == 1:
        os._exit(9)
    threading.Event().wait()


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(partitions={"cpu": 1, "gpu": 0}, port=0) as started:
        yield started


@pytest.fixture(params=["near", "far"])
def client(cluster: LocalCluster, request: pytest.FixtureRequest) -> Iterator[Pymonik]:
    where = cluster if request.param == "near" else cluster.endpoint
    client = Pymonik(where, partition=["cpu", "gpu"]).create()
    yield client
    client.cancel()


def from_shell(cluster: LocalCluster, session_id: str) -> str:
    command = [sys.executable, "-m", "pymonik", "why", session_id, "--endpoint", cluster.endpoint]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
    return done.stdout


def until(said: str, ask: Callable[[], object]) -> str:
    """What is said once it has ``said`` in it."""
    end = time.monotonic() + TIMEOUT_S
    while said not in (text := str(ask())):
        assert time.monotonic() < end, text
    return text


def test_handle_map_client_and_shell_agree(cluster: LocalCluster, client: Pymonik) -> None:
    lost = inc.map_invoke(range(3), pmk_partition="gpu", label="lost")
    client.send()
    reason = 'queued     partition "gpu": 0 pods allowed; last task taken there: never'
    hint = '→ likely: partition "gpu" has no pods'
    for text in (
        *(str(lost.why()), str(lost[1].why()), str(client.why())),
        from_shell(cluster, client.session_id),
        from_shell(cluster, lost[1].task_id),
    ):
        assert reason in text
        assert hint in text
    with pytest.raises(WaitTimeoutError, match='partition "gpu": 0 pods allowed'):
        lost.get(timeout=0.2)


def test_what_the_client_has_not_sent_is_told_too(client: Pymonik) -> None:
    stay.invoke()
    many = stay.map_invoke(range(500))
    text = until("held here  they leave when others have ended", many.why)
    assert "500 of 500 not ended" in text
    assert "501 of 501 not ended" in until("running    stay", client.why)


def test_a_call_of_just_now_is_about_to_leave(client: Pymonik) -> None:
    text = str(inc.invoke(1, pmk_partition="gpu").why())
    assert "about to leave" in text or 'partition "gpu"' in text


def test_an_attempt_that_was_killed(client: Pymonik) -> None:
    text = until("attempt 2", die_at_first.invoke().why)
    assert "running    die_at_first on " in text
    assert "WorkerLostError: the executor died while it ran the task: exit code 9" in text


def test_what_has_failed_is_not_waited_for(client: Pymonik) -> None:
    failed = refuse.map_invoke(range(2))
    failed.exceptions(timeout=TIMEOUT_S)
    assert str(failed.why()).splitlines() == [
        "refuse: all of 2 ended",
        "  1 failed     ValueError: not 0",
        "  1 failed     ValueError: not 1",
    ]
    behind = inc.invoke(refuse.invoke(3))
    behind.exception(timeout=TIMEOUT_S)
    assert "1 failed     DependencyFailedError" in str(behind.why())


def test_a_result_that_nobody_makes_and_a_cancelled_task_that_nobody_ends(
    cluster: LocalCluster,
) -> None:
    channel = open_channel(ClusterConfig(cluster.endpoint))
    options = TaskOptions(max_duration=timedelta(minutes=1), priority=1, max_retries=1)
    session_id = ArmoniKSessions(channel).create_session(options, ["cpu"])
    made = ArmoniKResults(channel).create_results_metadata(["orphan", "payload", "out"], session_id)
    ids = {name: result.result_id for name, result in made.items()}
    ArmoniKResults(channel).upload_result_data(ids["payload"], session_id, b"x")
    needs = TaskDefinition(
        payload_id=ids["payload"],
        expected_output_ids=[ids["out"]],
        data_dependencies=[ids["orphan"]],
    )
    ArmoniKTasks(channel).submit_tasks(session_id, [needs])
    text = from_shell(cluster, session_id)
    assert "which no task makes and nobody has uploaded" in text
    assert "likely: a result that no task makes never comes" in text
    ArmoniKSessions(channel).cancel_session(session_id)
    assert "no worker has come to end it" in from_shell(cluster, session_id)
    channel.close()


def test_a_worker_that_does_not_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reasons, "NOT_BEGUN_S", 0.2)
    command = [sys.executable, "-m", "pymonik.worker"]
    with LocalCluster(worker=command, workers=1) as cluster, Pymonik(cluster) as client:
        assert inc.invoke(1).get(TIMEOUT_S) == 2
        workers = _processes("pymonik.worker")
        for worker in workers:
            worker.suspend()
        text = until("has not begun", inc.invoke(1).why)
        assert "does not answer, or installs the environment" in text
        for worker in workers:
            worker.resume()
        client.cancel()


def _processes(module: str) -> list[psutil.Process]:
    """Those of this test that run a module."""
    below = psutil.Process().children(recursive=True)
    return [one for one in below if module in one.cmdline()]
