"""ArmoniK's command line, `armonik_cli` from the package index, on an embedded cluster."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from pymonik import Pymonik, task
from pymonik.cluster.local import LocalCluster

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(
    not importlib.util.find_spec("armonik_cli") and not os.environ.get("CI"),
    reason="armonik_cli, of the dependency group `test`, is not installed",
)

WORKER = Path(__file__).parents[1] / "workers" / "small_worker.py"
PROGRAM = "from armonik_cli.cli import cli; cli()"  # what the script `armonik` does
TIMEOUT_S = 60


class Terminal:
    """Runs commands of the program and reads what they show.

    Args:
        endpoint: Of the cluster.
        home: Where the program keeps its settings.
    """

    def __init__(self, endpoint: str, home: Path) -> None:
        self._endpoint = endpoint
        self._environment = {**os.environ, "HOME": str(home), "COLUMNS": "1000"}

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", PROGRAM, *words, "--endpoint", self._endpoint],
            capture_output=True,
            text=True,
            env=self._environment,
            timeout=TIMEOUT_S,
            check=False,
        )

    def ask(self, *words: str) -> Any:
        """What the command shows; in YAML, because its JSON cannot hold the bytes of results."""
        done = self.run(*words, "--output", "yaml")
        assert done.returncode == 0, done.stdout + done.stderr
        return yaml.safe_load(done.stdout)

    def session(self) -> str:
        made = self.ask("session", "create", "--partition", "P", "--default-partition", "P")
        return str(made["SessionId"])


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    command = [sys.executable, str(WORKER)]
    with LocalCluster(partitions={"P": 1, "Q": 0}, worker=command, port=0) as cluster:
        yield Terminal(cluster.endpoint, tmp_path_factory.mktemp("home"))


def test_a_session_goes_through_its_whole_life(terminal: Terminal) -> None:
    session_id = terminal.session()
    (shown,) = terminal.ask("session", "get", session_id)
    assert (shown["Status"], shown["PartitionIds"]) == ("Running", ["P"])
    (listed,) = terminal.ask("session", "list", "--filter", f'session_id = "{session_id}"')
    assert listed == shown
    for words, status in [
        (("pause",), "Paused"),
        (("resume",), "Running"),
        (("stop-submission", "--clients", "--confirm"), "Running"),
        (("close", "--confirm"), "Closed"),
        (("cancel", "--confirm"), "Cancelled"),
        (("purge", "--confirm"), "Purged"),
    ]:
        (changed,) = terminal.ask("session", *words, session_id)
        assert changed["Status"] == status
    assert terminal.run("session", "delete", "--confirm", session_id).returncode == 0
    refused = terminal.run("session", "get", session_id)
    assert refused.returncode != 0


def test_a_task_is_created_and_its_result_downloaded(terminal: Terminal, tmp_path: Path) -> None:
    session_id = terminal.session()
    terminal.ask("result", "create", session_id, "--result", "payload", "--result", "output")
    of_session = f'session_id = "{session_id}"'
    found = {one["Name"]: one for one in terminal.ask("result", "list", "--filter", of_session)}
    payload, output = found["payload"]["ResultId"], found["output"]["ResultId"]
    script = tmp_path / "payload"
    script.write_bytes(b"double 21")
    terminal.ask("result", "upload-data", session_id, payload, "--from-file", str(script))

    made = ["--session-id", session_id, "--payload-id", payload, "--expected-outputs", output]
    task_id = terminal.ask("task", "create", *made)["Id"]
    task = _ended(terminal, task_id)
    assert (task["Status"], task["SessionId"]) == ("Completed", session_id)
    (listed,) = terminal.ask("task", "list", "--filter", of_session)
    assert listed["Id"] == task_id

    (result,) = terminal.ask("result", "get", output)
    assert (result["Status"], result["OwnerTaskId"]) == ("Completed", task_id)
    terminal.ask("result", "download-data", session_id, "--id", output, "--path", str(tmp_path))
    assert (tmp_path / output).read_bytes() == b"42"
    terminal.ask("result", "delete-data", "--confirm", output)
    (result,) = terminal.ask("result", "get", output)
    assert result["Status"] == "Deleted"
    terminal.ask("task", "cancel", task_id)  # has ended: nothing happens
    assert _ended(terminal, task_id)["Status"] == "Completed"


def test_the_cluster_and_its_partitions_are_shown(terminal: Terminal) -> None:
    assert {one["Id"] for one in terminal.ask("partition", "list")} == {"P", "Q"}
    (partition,) = terminal.ask("partition", "get", "P")
    assert partition["Id"] == "P"
    assert terminal.ask("cluster", "health").keys() == {"database", "object", "queue"}
    assert terminal.ask("cluster", "info")["Versions"]["Core"]


def _ended(terminal: Terminal, task_id: str) -> Any:
    for _ in range(TIMEOUT_S):
        (task,) = terminal.ask("task", "get", task_id)
        if task["EndedAt"] is not None:
            return task
    raise AssertionError(f"the task does not end: {task_id}")


@task
def simulate(mesh: int) -> int:
    if mesh in (3, 7):
        raise ValueError(f"negative volume {mesh}")
    return mesh


@pytest.mark.parametrize("worker", [None, [sys.executable, "-m", "pymonik.worker"]])
def test_function_run_and_failures_are_seen(worker: list[str] | None, tmp_path: Path) -> None:
    with (
        LocalCluster(workers=1, worker=worker, port=0) as cluster,
        Pymonik(cluster.endpoint, session="volumes"),
    ):
        study = simulate.map_invoke(range(10), label="mesh-study", chunk_size=10)
        assert len(study.exceptions(timeout=TIMEOUT_S)) == 10
        terminal = Terminal(cluster.endpoint, tmp_path)
        (row,) = terminal.ask("task", "list")
        options = row["Options"]
        assert row["Status"] == "Completed"
        assert options["Options"]["pymonik.run"] == "mesh-study"
        assert (options["ApplicationNamespace"], options["ApplicationService"]) == (
            "volumes",
            "simulate",
        )
        names = {one["Name"] for one in terminal.ask("result", "list")}
        assert {"simulate · mesh-study", "simulate · mesh-study payload"} <= names
        told = terminal.ask("result", "list", "--filter", 'name startswith "pymonik.failed/"')
        assert [one["Name"] for one in told] == [
            "pymonik.failed/2 of 10 calls: simulate · mesh-study: ValueError"
        ]
        assert told[0]["CreatedBy"] == row["Id"]
