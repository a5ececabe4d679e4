"""Calls that are run again: handles stand for the new ones, and what needed them follows."""

from __future__ import annotations

import pickle
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from pymonik import (
    ArgumentsError,
    DependencyFailedError,
    LocalCluster,
    MultiResultHandle,
    Pymonik,
    UsageError,
    command,
    task,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(partitions={"small": 2, "big": 1}, port=0) as started:
        yield started


@pytest.fixture(params=["own cluster", "endpoint"])
def client(cluster: LocalCluster, request: pytest.FixtureRequest) -> Iterator[Pymonik]:
    where: Any = cluster if request.param == "own cluster" else cluster.endpoint
    with Pymonik(where, partition=["small", "big"], on_unseen="ignore") as opened:
        yield opened


@task
def step(mesh: int, dt: float = 0.5) -> float:
    if mesh % 10 == 7:
        raise ValueError(f"negative volume {mesh}")
    return mesh + dt


@task
def fixed(mesh: int, dt: float = 0.5) -> float:
    return mesh + dt


@task
def double(value: float) -> float:
    return 2 * value


@task
def length(text: str) -> int:
    return len(text)


@task
def total(values: list[float]) -> float:
    return sum(values)


@task
def flaky(marker: Path, n: int) -> int:
    if not marker.exists():
        raise OSError("not there")
    return n


def test_failed_items_are_repaired_in_place(client):
    m = step.map_invoke(range(30), label="study")
    part = m[5:10]
    m.exceptions()
    repair = m.rerun(m.failed, with_=fixed)
    assert (repair.again, repair.dependants, repair.kept) == (3, 0, 27)
    assert repr(repair) == "3 calls again with fixed, 27 kept"
    assert m.get() == [n + 0.5 for n in range(30)]
    assert part[2].get() == 7.5
    assert [handle.index for handle in m] == list(range(30))
    assert "study" in str(m)
    assert m[7].kwargs == {}
    assert m[7].args == (7,)


def test_what_failed_for_want_of_them_follows(client):
    m = step.map_invoke(range(20))
    doubled = double.map_invoke([(one,) for one in m])
    everything = total.invoke(doubled)
    assert isinstance(everything.exception(), DependencyFailedError)
    repair = m.rerun(with_=fixed)
    assert (repair.again, repair.dependants) == (2, 3)
    assert doubled.get() == [2 * (n + 0.5) for n in range(20)]
    assert everything.get() == sum(2 * (n + 0.5) for n in range(20))


def test_what_needs_another_failed_call_waits_for_that_one(client):
    one, other = step.invoke(7), step.invoke(17)
    both = total.invoke([one, other])
    assert all(MultiResultHandle([one, other, both]).exceptions())
    assert one.rerun(with_=fixed).dependants == 0
    assert isinstance(both.exception(), DependencyFailedError)
    assert other.rerun(with_=fixed).dependants == 1
    assert both.get() == 7.5 + 17.5


def test_a_chain_follows_while_its_failures_are_still_told(client):
    first = step.invoke(7)
    last = first
    for _ in range(5):
        last = double.invoke(last)
    first.exception()
    assert first.rerun(with_=fixed).dependants == 5
    assert last.get() == 7.5 * 32


def test_what_used_an_old_value_follows_only_if_asked(client):
    m = step.map_invoke([1, 2, 3])
    sums = total.invoke(m)
    assert sums.get() == 7.5
    m.rerun(m[:1], with_=double)
    assert m.get() == [2, 2.5, 3.5]
    assert sums.get() == 7.5
    m.rerun(m[1:2], with_=double, cascade=True)
    assert sums.get() == 2 + 4 + 3.5


def test_the_same_function_runs_again_by_default(client, tmp_path):
    marker = tmp_path / "marker"
    m = flaky.map_invoke([(marker, n) for n in range(4)])
    assert all(m.exceptions())
    marker.touch()
    m.rerun()
    assert m.get() == [0, 1, 2, 3]


def test_options_are_those_of_the_new_calls(client):
    m = step.map_invoke([7, 8], pmk_partition="small")
    m.exceptions()
    m.rerun(with_=fixed, partition="big")
    m.wait()
    rows = client.session.lists.tasks(first_ids=[m[0].task_id, m[1].task_id])
    assert {row.first_id: row.partition for row in rows} == {
        m[0].task_id: "big",
        m[1].task_id: "small",
    }
    with pytest.raises(ArgumentsError, match="did you mean partition"):
        m.rerun(partitions="big")


def test_a_single_call_keeps_the_options_that_it_was_given(client):
    own = step.invoke(7, pmk_partition="big", pmk_priority=2, label="own")
    plain = step.invoke(17)
    MultiResultHandle([own, plain]).exceptions()
    assert MultiResultHandle([own, plain]).rerun(with_=fixed, max_retries=1).again == 2
    assert (own.get(), plain.get()) == (7.5, 17.5)
    ids = [own.task_id, plain.task_id]
    rows = {row.task_id: row for row in client.session.lists.tasks(ids=ids, details=True)}
    limits = [rows[one].limits for one in ids]
    assert [one.partition_id for one in limits] == ["big", "small"]
    assert limits[0].priority == 2
    assert [one.max_retries for one in limits] == [1, 1]


@pytest.mark.parametrize("wrong", [3, "m", [3], [[]], {"a": 1}])
def test_only_handles_are_run_again(client, wrong):
    m = step.map_invoke([(7, 0.5)])
    m.exceptions()
    with pytest.raises(UsageError, match="takes handles of calls"):
        m.rerun(wrong)
    with pytest.raises(UsageError, match="with_ must be"):
        m.rerun(with_=3)  # type: ignore[arg-type]


def test_cancelled_calls_are_run_again(client):
    @task
    def nap(seconds: float) -> float:
        time.sleep(seconds)
        return seconds

    blocking = nap.map_invoke([0.3] * 3, chunk_size=1)
    m = nap.map_invoke([0.01, 0.02], chunk_size=1)
    m.cancel()
    m.exceptions()
    assert [one.status for one in m] == ["cancelled", "cancelled"]
    assert m.rerun().again == 2
    assert m.get() == [0.01, 0.02]
    blocking.wait()


def test_a_call_that_goes_on_is_left_as_it_is(client):
    @task
    def nap(seconds: float) -> float:
        time.sleep(seconds)
        return seconds

    handle = nap.invoke(0.3)
    assert handle.rerun().again == 0
    assert handle.get() == 0.3


def test_history_tells_each_time_and_by_which_function(client):
    m = step.map_invoke(range(9))
    m.exceptions()
    m.rerun(with_=fixed)
    m.wait()
    line = str(m.history())
    assert line.startswith("item 7: ValueError: negative volume 7 (step@")
    assert " → 7.5 (fixed@" in line
    assert [event.what for event in m.history() if event.item == 7] == [
        "created",
        "failed",
        "created",
        "completed",
    ]
    own = m[7].history()
    whats = ["created", "started", "failed", "created", "started", "completed"]
    assert [event.what for event in own] == whats
    assert "negative volume 7" in str(own)


def test_what_the_program_does_not_keep_the_cluster_has(client):
    failed = step.invoke("x" * 100_000)
    assert isinstance(failed.exception(), TypeError)
    (row,) = client.session.lists.tasks(first_ids=[failed.task_id], details=True)
    failed.rerun()  # with the payload that the cluster has
    assert isinstance(failed.exception(), TypeError)
    (again,) = client.session.lists.tasks(first_ids=[failed.task_id], details=True)
    assert again.payload == row.payload
    failed.rerun(with_=length)
    assert failed.get() == 100_000


def without_a_task(mesh: int, dt: float = 0.5) -> float:
    return mesh * 100 + dt


def test_the_corrected_function_need_not_be_a_task(client):
    m: Any = step.map_invoke([(n, 0.5) for n in range(10)])
    m.exceptions()
    m.rerun(m.failed, with_=without_a_task)
    assert m.get()[7] == 700.5
    m.rerun([m[3]], with_=lambda mesh, dt: [mesh, dt])
    assert m[3].get() == [3, 0.5]
    with pytest.raises(UsageError, match="with_ must be a task or a function, not a str"):
        m.rerun(with_="fixed")


def test_a_handle_out_of_a_pickle_is_run_again(client):
    single, m = step.invoke(7), step.map_invoke([(1, 0.5), (7, 0.5)])
    m.exceptions(), single.exception()
    single, m = pickle.loads(pickle.dumps((single, m)))
    m.exceptions(), single.exception()
    assert single.rerun().again == 1
    assert "negative volume 7" in str(single.exception())
    single.rerun(with_=fixed)
    m.rerun(m.failed, with_=fixed)
    assert (single.get(), m.get()) == (7.5, [1.5, 7.5])


def test_a_command_is_run_again(client, tmp_path):
    script = command(["sh", "-c", "test -e {marker} && echo {n}"])
    marker = tmp_path / "marker"
    m = script.map_invoke([{"marker": str(marker), "n": n} for n in range(3)], chunk_size=3)
    assert all(m.exceptions())
    marker.touch()
    assert m.rerun().again == 3
    assert [done.stdout for done in m.get()] == ["0\n", "1\n", "2\n"]
    with pytest.raises(UsageError, match="is a command or a handler"):
        _ = m[0].args


def test_what_is_nowhere_is_named_and_nothing_runs(client):
    m = step.map_invoke([(7, 0.5)])
    large = step.invoke("x" * 100_000)
    large.exception()
    m.exceptions()
    (row,) = client.session.lists.tasks(first_ids=[large.task_id], details=True)
    client.session.delete([row.payload])
    with pytest.raises(UsageError, match="the payload of step is not there any more"):
        MultiResultHandle([*m, large]).rerun(with_=fixed)
    assert m[0].status == "failed"


PROGRAM = """
import sys
from pathlib import Path
from pymonik import Pymonik, task
import helper

@task
def work(n, marker):
    if n % 3 == 0 and not marker.exists():
        raise OSError(f"not there {n}")
    return helper.scale(n)

@task
def total(values):
    return sum(values)

if __name__ == "__main__":
    with Pymonik(sys.argv[1], session=sys.argv[2], on_exit="keep", on_unseen="ignore"):
        marker = Path(sys.argv[3])
        m = work.map_invoke([(n, marker) for n in range(7)], label="study", chunk_size=4)
        m.exceptions()
"""


def left_behind(cluster: LocalCluster, tmp_path: Path, name: str) -> Path:
    """A session that another program has left, in which three calls have failed."""
    folder = tmp_path / "program"
    folder.mkdir()
    (folder / "program.py").write_text(PROGRAM)
    (folder / "helper.py").write_text("def scale(n):\n    return n * 10\n")
    marker = tmp_path / "marker"
    subprocess.run(
        [sys.executable, "program.py", cluster.endpoint, name, str(marker)],
        cwd=folder,
        check=True,
        timeout=60,
    )
    return marker


def test_another_program_repairs_a_run_that_it_has_found(cluster, tmp_path):
    marker = left_behind(cluster, tmp_path, "repaired")
    with Pymonik(cluster.endpoint, session="repaired", on_exit="keep", on_unseen="ignore") as pk:
        m = pk.runs["study"]
        assert sum(error is not None for error in m.exceptions()) == 3
        marker.touch()
        assert m.rerun().again == 3  # the function is known to the cluster only
        assert m.get() == [n * 10 for n in range(7)]
    with Pymonik(cluster.endpoint, session="repaired", on_exit="keep") as pk:
        assert pk.runs["study"].get() == [n * 10 for n in range(7)]  # it was recorded


def test_another_function_gets_the_arguments_that_the_cluster_has(cluster, tmp_path):
    @task
    def other(n: int, marker: Path) -> int:
        return -n

    left_behind(cluster, tmp_path, "replaced")
    with Pymonik(cluster.endpoint, session="replaced", on_exit="keep", on_unseen="ignore") as pk:
        m = pk.runs["study"]
        m.exceptions()
        m.rerun(with_=other)
        assert m.get() == [0, 10, 20, -3, 40, 50, -6]


def test_a_run_is_repaired_from_a_shell(cluster, tmp_path):
    marker = left_behind(cluster, tmp_path, "shell")
    marker.touch()
    command = [sys.executable, "-m", "pymonik", "rerun", "shell", "--endpoint", cluster.endpoint]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip() == "study: 3 calls again with work, 4 kept"
    with Pymonik(cluster.endpoint, session="shell", on_exit="keep") as pk:
        assert pk.runs["study"].get() == [n * 10 for n in range(7)]
    unknown = [*command[:4], "no such session", *command[5:]]
    ended = subprocess.run(unknown, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, "there is no session" in ended.stderr) == (2, True)


@task
def even(n: int) -> int:
    if n % 2:
        raise ValueError(n)
    return n


@pytest.mark.parametrize("where", ["own cluster", "endpoint"])
def test_payloads_of_a_session_with_a_name_stay_however_often_they_run(cluster, where):
    to = cluster if where == "own cluster" else cluster.endpoint
    first = Pymonik(to, session=f"stays {where}", on_unseen="ignore").create()
    even.map_invoke(range(4), label="even", chunk_size=2).exceptions()
    first.leave()
    for _ in range(2):  # the second time with payloads of the first, which ended well by then
        with Pymonik(to, session=f"stays {where}", on_unseen="ignore") as client:
            m = client.runs["even"]
            assert m.rerun().again == 2
            assert [str(one) for one in m.exceptions()] == ["None", "1", "None", "3"]
            assert m.rerun([m[0], m[2]]).again == 2
            assert m[::2].get() == [0, 2]
            assert [one.args for one in client.runs["even"]] == [(0,), (1,), (2,), (3,)]


def test_a_value_that_was_put_is_no_call(client):
    with pytest.raises(UsageError, match="is no call"):
        client.put(1).rerun()
