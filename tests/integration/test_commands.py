"""The commands that look at a cluster, against an embedded one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from pymonik import LocalCluster, MultiResultHandle, Pymonik, task
from pymonik.cli import main
from pymonik.cluster.announcement import running_clusters

TIMEOUT_S = 60


@task
def square(number: int) -> int:
    return number * number


@task
def refuse(number: int) -> int:
    raise ValueError(f"not {number}")


@task
def refuse_some(number: int) -> int:
    if number % 5 == 3:
        raise ValueError(f"not {number}")
    return number


@task
def stay() -> None:
    threading.Event().wait()


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(partitions={"cpu": 1, "gpu": 0}, port=0) as started:
        yield started


@pytest.fixture(scope="module")
def client(cluster: LocalCluster) -> Iterator[Pymonik]:
    """Whose session has calls that ended, that failed, one that runs and one that waits."""
    client = Pymonik(cluster.endpoint, partition=["cpu", "gpu"]).create()
    square.map_invoke(range(3), pymonik=client, chunk_size=1).result(timeout=TIMEOUT_S)
    refuse.invoke(1, pymonik=client).exception(timeout=TIMEOUT_S)
    stuck = [stay.invoke(pymonik=client), square.invoke(2, pymonik=client, pmk_partition="gpu")]
    client.send()
    end = time.monotonic() + TIMEOUT_S
    while not cli_json(cluster, "ps"):
        assert time.monotonic() < end
    yield client
    MultiResultHandle(stuck).cancel()
    client.cancel()


def cli_json(cluster: LocalCluster, *arguments: str) -> list[dict[str, object]]:
    command = [sys.executable, "-m", "pymonik", *arguments]
    done = subprocess.run(
        [*command, "--endpoint", cluster.endpoint, "--json"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    rows: list[dict[str, object]] = json.loads(done.stdout)
    return rows


def test_ps_shows_what_workers_have(cluster: LocalCluster, client: Pymonik) -> None:
    (row,) = cli_json(cluster, "ps")
    assert row["function"] == "stay"
    assert row["partition"] == "cpu"
    assert row["worker"]


def test_tasks_are_listed_by_state(cluster: LocalCluster, client: Pymonik) -> None:
    (failed,) = cli_json(cluster, "tasks", "--state", "failed")
    assert failed["function"] == "refuse"
    assert str(failed["error"]).startswith("ValueError: not 1")
    (waiting,) = cli_json(cluster, "tasks", client.session_id, "--state", "pending")
    assert (waiting["partition"], waiting["status"]) == ("gpu", "SUBMITTED")
    assert len(cli_json(cluster, "tasks", "--limit", "2")) == 2


def test_runs_have_their_tasks_by_outcome(cluster: LocalCluster, client: Pymonik) -> None:
    runs = {str(run["function"]): run for run in cli_json(cluster, "runs")}
    assert runs["square"]["ok"] == 3
    assert runs["square"]["pending"] == 1
    assert runs["refuse"]["failed"] == 1
    assert runs["stay"]["running"] == 1


def test_failures_among_calls_of_a_task_are_told() -> None:
    with LocalCluster(workers=1, port=0) as other, Pymonik(other.endpoint):
        study = refuse_some.map_invoke(range(10), chunk_size=10)
        study.exceptions(timeout=TIMEOUT_S)
        (row,) = cli_json(other, "tasks")
        assert (row["status"], row["error"]) == ("COMPLETED", "2 of 10 calls: ValueError")
        (run,) = cli_json(other, "runs")
        assert (run["ok"], run["failed"], run["failed_calls"]) == (1, 0, 2)


def test_sessions_workers_and_partitions(cluster: LocalCluster, client: Pymonik) -> None:
    (session,) = cli_json(cluster, "sessions")
    assert session["session_id"] == client.session_id
    assert session["tasks"] == {"ok": 3, "failed": 1, "running": 1, "pending": 1}
    (worker,) = cli_json(cluster, "workers")
    assert (worker["partition"], worker["functions"]) == ("cpu", {"stay": 1})
    partitions = {row["partition"]: row for row in cli_json(cluster, "partitions")}
    assert (partitions["cpu"]["running"], partitions["cpu"]["pods_max"]) == (1, 1)
    assert (partitions["gpu"]["pending"], partitions["gpu"]["pods_max"]) == (1, 0)


def test_people_read_a_table(
    cluster: LocalCluster, client: Pymonik, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tasks", "--endpoint", cluster.endpoint]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.startswith("task id")
    assert len(rows) == 6


def test_cancel_ends_what_it_names_and_refuses_the_rest(
    cluster: LocalCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    with Pymonik(cluster.endpoint, partition="gpu") as client:
        handle = square.invoke(1)
        task_id = handle.task_id
        assert main(["cancel", task_id, "unknown", "--endpoint", cluster.endpoint]) == 2
        assert "unknown" in capsys.readouterr().err
        assert not handle.done()
        assert main(["cancel", task_id, "--endpoint", cluster.endpoint]) == 0
        assert handle.exception(timeout=TIMEOUT_S) is not None
        assert main(["cancel", client.session_id, "--endpoint", cluster.endpoint]) == 0


def test_a_cluster_of_this_user_is_found(
    cluster: LocalCluster, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AKCONFIG", raising=False)
    with LocalCluster(workers=1) as newer:
        endpoints = [one.endpoint for one in running_clusters()]
        assert endpoints.index(newer.endpoint) < endpoints.index(cluster.endpoint)
    assert newer.is_alive() is False
    assert cluster.endpoint in [one.endpoint for one in running_clusters()]


@pytest.mark.parametrize(
    "command",
    [
        *("ps --endpoint http://127.0.0.1:1", "dashboard --endpoint http://127.0.0.1:1"),
        *("tasks --endpoint ftp://x", "logs x --endpoint unix:/nowhere"),
        *("dashboard --port 99999", "tasks --endpoint https://{here}", "why no-such-session"),
        *("logs nothing", "logs x --grep (", "cancel nothing", "sessions --older banana"),
        *("ps nothing", "runs nothing", "tasks nothing --json", "logs nothing --json"),
    ],
)
def test_an_error_is_one_line_and_code_2(cluster: LocalCluster, command: str) -> None:
    here = cluster.endpoint.removeprefix("http://")
    words = command.format(here=here).split()
    if "--endpoint" not in words:
        words += ["--endpoint", cluster.endpoint]
    done = _command(*words)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("pymonik: ")


def test_a_table_is_no_wider_than_the_terminal(cluster: LocalCluster, client: Pymonik) -> None:
    command = [sys.executable, "-m", "pymonik", "tasks", "--endpoint", cluster.endpoint]
    reading, terminal = os.openpty()
    subprocess.run(
        command, stdout=terminal, timeout=TIMEOUT_S, check=True, env={**os.environ, "COLUMNS": "80"}
    )
    os.close(terminal)
    text = os.read(reading, 1 << 16).decode()
    os.close(reading)
    widths = [len(line) for line in text.splitlines()]
    assert len(widths) > 4
    assert max(widths) == 80


def _command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pymonik", *words],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


@pytest.mark.parametrize(
    "words",
    ["tasks --limit 0", "top --every -1", "ps --log-level no", "cluster --port x", "nothing"],
)
def test_a_wrong_argument_is_refused_before_anything_is_asked(words: str) -> None:
    done = _command(*words.split())
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("pymonik")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("ending", "code"), [(">&-", 0), ("> /dev/full", 2), ("| head -0", 0)])
def test_nobody_reads_what_a_command_prints(
    cluster: LocalCluster, client: Pymonik, ending: str, code: int
) -> None:
    command = f"{sys.executable} -m pymonik tasks --endpoint {cluster.endpoint} {ending}"
    shell = ["bash", "-o", "pipefail", "-c", command]
    done = subprocess.run(shell, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == code
    assert len(done.stderr.splitlines()) == (code == 2)


def test_why_finds_the_session_whose_task_waits_longest(
    cluster: LocalCluster, client: Pymonik, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["why", "--endpoint", cluster.endpoint]) == 0
    shown = capsys.readouterr().out
    assert f"session {client.session_id}: 2 of " in shown
    assert 'likely: partition "gpu" has no pods' in shown
    assert main(["why", "unknown", "--endpoint", cluster.endpoint]) == 2


def test_top_shows_once_where_nobody_watches(
    cluster: LocalCluster, client: Pymonik, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["top", "--endpoint", cluster.endpoint]) == 0
    shown = capsys.readouterr().out
    assert "1 running" in shown
    assert "stay" in shown
    assert "square" in shown


def test_doctor_says_what_is_wrong(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")  # nobody listens there
    with LocalCluster(partitions={"cpu": 1, "gpu": 0}, port=0) as cluster:
        assert main(["doctor", "--endpoint", cluster.endpoint, "--json"]) == 1
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)}
    good = {name: check["is_good"] for name, check in checks.items()}
    assert good['partition "cpu", a call']
    assert good['partition "cpu", clock']
    assert not good['partition "gpu"']
    index = checks['partition "cpu", package index']
    assert not index["is_good"]
    assert "127.0.0.1:9 does not answer" in index["text"]


def test_doctor_says_that_nobody_answers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--endpoint", "http://127.0.0.1:9"]) == 1
    assert "FAIL connection" in capsys.readouterr().out


@task
def speak(number: int) -> int:
    print("number", number)  # noqa: T201
    return number


@pytest.fixture
def free_cluster() -> Iterator[LocalCluster]:
    """One whose worker has nothing to do: that of `client` has a call that stays."""
    with LocalCluster(workers=1, port=0) as started:
        yield started


def test_logs_are_those_of_a_task_a_session_or_a_run(free_cluster: LocalCluster) -> None:
    def logs(*arguments: str) -> list[str]:
        found = cli_json(free_cluster, "logs", *arguments)
        return sorted(f"{line['call']}: {line['text']}" for line in found)

    with Pymonik(free_cluster, output="quiet") as client:
        run = speak.map_invoke(range(4), chunk_size=2, label="spoken")
        run.get(60)
        everything = [f"speak {n}: number {n}" for n in range(4)]
        assert logs(client.session_id) == everything
        assert logs("spoken") == everything
        assert logs(run[0].task_id) == everything[:2]
        assert logs(client.session_id, "--grep", "3") == everything[3:]
