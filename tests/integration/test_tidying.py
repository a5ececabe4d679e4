"""What is left in a cluster can be seen, with size and age, and deleted."""

from __future__ import annotations

import gc
import importlib.metadata
import json
import os
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from armonik.client import ArmoniKTasks

from pymonik import LocalCluster, Pymonik, TaskFailedError, TaskOptions, UsageError, task
from pymonik.cli import main
from pymonik.errors import ControlPlaneError
from pymonik.runs import tidying
from pymonik.runs.rows import SessionRow
from pymonik.wire.call import CLIENT_LABEL

if TYPE_CHECKING:
    from collections.abc import Iterator

WAIT_S = 60.0


@task
def square(number: int) -> int:
    return number * number


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(workers=1, port=0) as one:
        yield one


def listed(cluster: LocalCluster, capsys: pytest.CaptureFixture[str], *how: str) -> list[str]:
    """Ids of the sessions that the command prints."""
    assert main(["sessions", "--endpoint", cluster.endpoint, "--json", *how]) == 0
    return [one["session_id"] for one in json.loads(capsys.readouterr().out)]


def test_sessions_tell_their_size_age_and_runs(cluster: LocalCluster) -> None:
    with Pymonik(cluster.endpoint, session="sized") as client:
        client.put(bytes(300_000))
        square.map_invoke(range(4), label="squares").wait(timeout=WAIT_S)
        (mine,) = [one for one in client.sessions() if one.session_id == client.session_id]
    assert (mine.name, mine.status, mine.runs) == ("sized", "RUNNING", ("squares",))
    assert mine.nbytes >= 300_000
    assert mine.results > 4
    assert 0 <= mine.age_s < WAIT_S
    assert sum(mine.tasks.values()) >= 1
    assert f" {os.getpid()} " in mine.client


def test_results_are_found_by_name_and_deleted_at_once(cluster: LocalCluster) -> None:
    with Pymonik(cluster.endpoint) as client:
        value = client.put([1, 2], name="b.dat")
        client.put([3], name="c.dat")
        (found,) = client.results(name="b.dat")
        assert (found.result_id, found.name) == (value.result_id, "b.dat")
        assert {"b.dat", "c.dat"} <= {one.name for one in client.results()}
        client.delete(value)
        assert client.results(name="b.dat") == []
        with pytest.raises((ControlPlaneError, TaskFailedError)):
            value.get(timeout=WAIT_S)
        chunk = square.map_invoke(range(4), chunk_size=4)
        chunk.wait(timeout=WAIT_S)
        with pytest.raises(UsageError, match="chunk_size=1"):
            client.delete(chunk[0])


def test_sessions_are_deleted_by_name_and_age(
    cluster: LocalCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = Pymonik(cluster.endpoint, session="stays").create()
    gone = Pymonik(cluster.endpoint, session="goes").create()
    square.map_invoke(range(3), pymonik=gone).wait(timeout=WAIT_S)
    ids = {kept.session_id, gone.session_id}
    assert ids <= set(listed(cluster, capsys))
    assert not ids & set(listed(cluster, capsys, "--older", "1h"))
    assert listed(cluster, capsys, "goes", "--delete") == [gone.session_id]
    assert kept.session_id in listed(cluster, capsys)
    assert gone.session_id not in listed(cluster, capsys)
    assert kept.session_id in listed(cluster, capsys, "--older", "0s", "--delete")
    assert listed(cluster, capsys) == []


@pytest.mark.parametrize("how", [["--delete"], ["--older", "soon"], ["--older", "7x", "--delete"]])
def test_what_is_meant_must_be_said(
    cluster: LocalCluster, capsys: pytest.CaptureFixture[str], how: list[str]
) -> None:
    assert main(["sessions", "--endpoint", cluster.endpoint, *how]) == 2
    assert "pymonik: " in capsys.readouterr().err


KILLED = """
    import os, signal, sys
    from pymonik import Pymonik

    if __name__ == "__main__":
        lost = Pymonik(sys.argv[1]).create()
        named = Pymonik(sys.argv[1], session="not lost").create()
        print(lost.session_id, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_sessions_of_killed_programs_are_found_and_deleted(
    cluster: LocalCluster, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "program.py").write_text(textwrap.dedent(KILLED))
    command = [sys.executable, "program.py", cluster.endpoint]
    ended = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=WAIT_S, check=False
    )
    lost = ended.stdout.strip()
    with Pymonik(cluster.endpoint):
        assert listed(cluster, capsys, "--lost") == [lost]
        assert listed(cluster, capsys, "--lost", "--delete") == [lost]
        assert listed(cluster, capsys, "--lost") == []
    assert len(listed(cluster, capsys, "not lost")) == 1


@pytest.mark.parametrize(
    "client",
    ["", "nobody", "me@elsewhere 17 18", f"me@{socket.gethostname()} x y", "@ "],
)
def test_of_other_machines_nobody_knows(cluster: LocalCluster, client: str) -> None:
    row = SessionRow("id", "RUNNING", options={CLIENT_LABEL: client}, takes_calls=True)
    with Pymonik(cluster.endpoint) as here:
        assert not tidying.is_lost(here.session.lists, row)


MANY = """
    import pickle, sys
    from pymonik import Pymonik, task

    @task
    def square(number):
        if number < 0:
            raise ValueError(number)
        return number * number

    @task(cache=True)
    def remembered(number):
        return number

    if __name__ == "__main__":
        handles = []
        for number in range(100):
            with Pymonik(sys.argv[1]) as client:
                handles.append(square.invoke(number))
                client.put(bytes(2_000), name="data")
            print(0, handles[-1].session_id, "purged")
        assert [handle.get() for handle in handles] == [n * n for n in range(100)]
        with Pymonik(sys.argv[1], on_unseen="ignore") as client:
            failed, fine = square.invoke(-1), square.invoke(2)
        print(0, failed.session_id, "failed")
        with Pymonik(sys.argv[1]) as client:
            pickle.dumps(square.invoke(3))
            print(0, client.session_id, "pickled")
        with Pymonik(sys.argv[1], session="asked to stay"):
            named = square.invoke(4)
        print(0, named.session_id, "named")
        with Pymonik(sys.argv[1], on_unseen="ignore", keep_failed=False) as client:
            failed = square.invoke(-2)
        print(0, failed.session_id, "purged")
        with Pymonik(sys.argv[1]):
            cached = remembered.invoke(5)
        print(0, cached.session_id, "cached")
        client = Pymonik(sys.argv[1]).create()
        left = square.invoke(6)
        client.leave("job.json", left)
        print(0, left.session_id, "left")
"""


@pytest.fixture(params=["executors", "workers of ArmoniK"])
def either(cluster: LocalCluster, request: pytest.FixtureRequest) -> Iterator[LocalCluster]:
    if request.param == "executors":
        yield cluster
    else:
        with LocalCluster(
            workers=2, port=0, worker=[sys.executable, "-m", "pymonik.worker"]
        ) as one:
            yield one


def test_a_hundred_sessions_leave_what_was_asked_to_be_kept(
    either: LocalCluster, tmp_path: Path
) -> None:
    cluster = either
    (tmp_path / "program.py").write_text(textwrap.dedent(MANY))
    command = [sys.executable, "program.py", cluster.endpoint]
    ended = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=4 * WAIT_S, check=True
    )
    sessions = [line.split()[1:] for line in ended.stdout.splitlines()]
    assert len(sessions) == 106
    with Pymonik(cluster.endpoint) as client:
        lists = client.session.lists
        for session_id, how in sessions:
            there = lists.results_named("", session_id=session_id)
            row = lists.session(session_id)
            assert row is not None
            if how == "purged":
                assert (row.status, there) == ("PURGED", []), ended.stderr
            else:
                assert row.status == ("RUNNING" if how == "left" else "CLOSED")
                assert there, how
            if how == "failed":
                (task_row,) = [one for one in lists.tasks(session_id=session_id) if one.error]
                (detailed,) = lists.tasks(ids=[task_row.task_id], details=True)
                assert detailed.payload in {one.result_id for one in there}
                # The other call's payload and value are gone.
                assert len([one for one in there if one.name == "square"]) <= 2


def test_the_tools_of_armonik_show_program_session_and_function(
    cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["/home/me/study.py"])
    own = TaskOptions(application_name="mine", application_service="solver")
    with Pymonik(cluster.endpoint, session="shown"):
        plain = square.invoke(1).wait(WAIT_S)
        named = square.invoke(1, task_options=own).wait(WAIT_S)
        channel = grpc.insecure_channel(cluster.endpoint.removeprefix("http://"))
        with channel:
            found = {one.id: one.options for one in ArmoniKTasks(channel).list_tasks()[1]}
    options = found[plain.task_id]
    assert options.application_name == "study"
    assert options.application_version == importlib.metadata.version("pymonik")
    assert (options.application_namespace, options.application_service) == ("shown", "square")
    options = found[named.task_id]
    assert (options.application_name, options.application_service) == ("mine", "solver")
    assert options.application_namespace == "shown"


def test_a_session_that_nobody_closes_is_purged_once_nothing_refers_to_it(
    cluster: LocalCluster,
) -> None:
    """As when a cell that sets up a client is run again."""
    ids = []
    for number in range(3):
        client = Pymonik(cluster.endpoint, on_unseen="ignore").create()
        ids.append(client.session_id)
        assert square.invoke(number).get(WAIT_S) == number * number
        if number == 1:
            square.invoke(None).exception(WAIT_S)
        del client
        gc.collect()
    last = Pymonik(cluster.endpoint).create()
    try:
        end = time.monotonic() + WAIT_S
        while status_of(last, ids[0]) != "PURGED" or status_of(last, ids[2]) != "PURGED":
            assert time.monotonic() < end
            with Pymonik(cluster.endpoint):  # sessions are purged when another one is opened
                gc.collect()
        # What failed can be looked at.
        assert status_of(last, ids[1]) == "CLOSED"
        there = last.session.lists.results_named("", session_id=ids[1])
        assert "square payload" in {row.name for row in there}
    finally:
        last.close()


def status_of(client: Pymonik, session_id: str) -> str:
    row = client.session.lists.session(session_id)
    return row.status if row is not None else ""
