"""What failed for good is found by any client, told attempt by attempt, and sent again."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from pymonik import (
    LocalCluster,
    MultiResultHandle,
    Pymonik,
    TaskFailedError,
    TaskTimeoutError,
    UsageError,
    WorkerLostError,
    command,
    task,
)
from pymonik.runs.cancelled import CancelReport

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(workers=2, port=0) as started:
        yield started


@pytest.fixture(params=["own cluster", "endpoint"])
def where(cluster: LocalCluster, request: pytest.FixtureRequest) -> Any:
    return cluster if request.param == "own cluster" else cluster.endpoint


@pytest.fixture
def client(where: Any) -> Iterator[Pymonik]:
    with Pymonik(where, on_unseen="ignore") as opened:
        yield opened


@task(max_retries=2, max_duration=1)
def work(what: Any) -> Any:
    if what == "die":
        os._exit(9)
    if what == "raise":
        raise KeyError("price")
    time.sleep(what)
    return what


@task
def needs(marker: Path, n: int, *, by: int = 1) -> int:
    if not marker.exists():
        raise OSError("not there")
    return n * by


@task
def add(one: Any, other: Any) -> Any:
    return one + other


def test_letters_tell_every_attempt(client):
    m = work.map_invoke([0.01, "raise", "die", 5], chunk_size=1)
    errors = m.exceptions()
    behind = add.invoke(m[1], 1)
    assert behind.exception() is not None
    kinds = [type(error) for error in errors]
    assert kinds == [type(None), KeyError, WorkerLostError, TaskTimeoutError]
    letters = {type(one.handle.exception()): one for one in client.dead_letters()}
    assert set(letters) == {KeyError, WorkerLostError, TaskTimeoutError}  # `behind` never ran
    assert [len(letters[kind].attempts) for kind in kinds[1:]] == [1, 3, 1]
    lost = letters[WorkerLostError]
    assert [one.status for one in lost.attempts] == ["retried", "retried", "failed"]
    assert all("exit code 9" in one.error for one in lost.attempts)
    assert all(one.worker for one in lost.attempts)
    assert (lost.event, lost.function) == ("die", "work")
    assert lost.calls == [(("die",), {})]


def test_a_letter_is_sent_again_with_the_same_payload(client, tmp_path):
    marker = tmp_path / "marker"
    failed = needs.invoke(marker, 21, by=2)
    assert isinstance(failed.exception(), OSError)
    (letter,) = client.dead_letters()
    assert letter.event == (marker, 21, 2)
    assert isinstance(letter.invoke().exception(), OSError)
    marker.touch()
    assert letter.invoke().get() == 42
    assert failed.status == "failed"


def test_a_letter_with_inputs_still_has_them(client, tmp_path):
    marker = tmp_path / "marker"
    number = add.invoke(20, 1)
    failed = needs.invoke(marker, number, by=2)
    assert isinstance(failed.exception(), OSError)
    (letter,) = client.dead_letters()
    marker.touch()
    assert letter.invoke().get() == 42


def test_another_client_sends_it_again(where, tmp_path):
    marker = tmp_path / "marker"
    with Pymonik(where, on_unseen="ignore") as first:
        assert needs.invoke(marker, 3).exception() is not None
        marker.touch()
        with Pymonik(where) as second:
            (letter,) = second.dead_letters(first.session_id)
            assert letter.invoke().get() == 3


def test_a_call_that_failed_among_others_has_a_letter_of_its_own(client, tmp_path):
    marker = tmp_path / "marker"
    m = work.map_invoke([0.001, "raise", "die", 0.001], chunk_size=4)
    n = needs.map_invoke([(marker, n) for n in range(3)], chunk_size=3)
    m.exceptions()
    n.exceptions()
    letters = client.dead_letters()
    events = [one.event for one in letters if one.function == "work"]
    assert sorted(events) == ["die", "raise"]
    marker.touch()
    again = [one.invoke() for one in letters if one.function == "needs"]
    assert sorted(one.get() for one in again) == [0, 1, 2]
    assert {one.status for one in n} == {"failed"}


def test_another_client_finds_calls_that_failed_among_others(where, tmp_path):
    marker = tmp_path / "marker"
    with Pymonik(where, on_unseen="ignore") as first, Pymonik(where, on_unseen="ignore") as second:
        m = work.map_invoke([0.001, "raise", "die", 0.001], first, chunk_size=4)
        n = needs.map_invoke([(marker, n) for n in range(3)], first, chunk_size=3)
        c = command("test -e {path}").map_invoke([str(marker)], first)
        for run in (m, n, c):
            run.exceptions()
        letters = second.dead_letters(first.session_id)
        of_work = {one.event: one for one in letters if one.function == "work"}
        assert sorted(of_work) == ["die", "raise"]
        assert "price" in of_work["raise"].error
        assert of_work["raise"].attempts[-1].status == "failed"
        assert isinstance(of_work["die"].handle.exception(), TaskFailedError)
        assert of_work["raise"].handle.index == 1
        marker.touch()
        again = [one.invoke().get() for one in letters if one.function == "needs"]
        assert sorted(again) == [0, 1, 2]
        (test,) = [one for one in letters if one.function == "test"]
        done: Any = test.invoke().get()
        assert done.rc == 0
        own = first.dead_letters()
        assert len(own) == len(letters)  # none is told twice to whoever has sent it


def test_what_is_kept_of_failed_calls_is_bounded(tmp_path):
    with LocalCluster(workers=1) as cluster, Pymonik(cluster, on_unseen="ignore") as client:
        needs.map_invoke([(tmp_path / "none", n) for n in range(2200)], chunk_size=2).exceptions()
        rows = [one for one in client.results() if one.name.startswith("pymonik.letter/")]
        assert len(rows) == 1000  # those that are there, of 1100
        with Pymonik(cluster) as other:
            assert len(other.dead_letters(client.session_id)) == 2000


def test_a_payload_that_was_deleted_is_named(client):
    work.invoke("raise").exception()
    (letter,) = client.dead_letters()
    client.session.delete([letter._row.payload])
    with pytest.raises(UsageError, match="the payload of work is not there any more"):
        letter.invoke()


def test_cancel_counts_what_it_found(where):
    client = Pymonik(where, on_unseen="ignore").create()
    m = nap.map_invoke([0.01, 0.01, -1, *[5] * 5], chunk_size=1)
    m[:3].exceptions()
    report = client.cancel()
    assert report == CancelReport(finished=2, failed=1, cancelled=5)
    assert client.cancel() == CancelReport()


@task
def nap(seconds: float) -> float:
    if seconds < 0:
        raise KeyError("price")
    time.sleep(seconds)
    return seconds


def test_ready_gives_what_has_ended_well_in_time(client):
    m = nap.map_invoke([0.01, -1, 0.02, *[5] * 4], chunk_size=1)
    m[:3].exceptions()
    assert m.ready(timeout=0.1) == [(0, 0.01), (2, 0.02)]
    summary = m.summary()
    assert [one.value for one in summary["finished"]] == [0.01, 0.02]
    assert [type(one.error) for one in summary["failed"]] == [KeyError]
    assert len(summary["running"]) + len(summary["pending"]) == 4
    assert summary["failed"][0].handle is m[1]
    assert summary["failed"][0].index == 1
    m.cancel()
    assert m.ready() == [(0, 0.01), (2, 0.02)]
    assert {name: len(some) for name, some in m.summary().items()} == {
        "finished": 2,
        "failed": 1,
        "cancelled": 4,
        "running": 0,
        "pending": 0,
    }


def test_summary_counts_calls_that_share_a_task(client):
    m = work.map_invoke([0.001] * 50, chunk_size=10)
    m.wait()
    assert {name: len(some) for name, some in m.summary().items() if some} == {"finished": 50}


def test_stages_say_where_the_time_went(client):
    m = work.map_invoke([0.05] * 8, chunk_size=2)
    m.wait()
    stages = m.stages()
    assert len(stages) == 8
    for row in stages.rows:
        assert row["user"] >= 0.045
        assert row["total"] >= row["user"]
        assert all(row[name] >= 0 for name in ("packed", "waiting", "queued", "inputs", "told"))
        assert (row["attempt"], row["item"]) == (1, stages.rows.index(row))
    assert any(row["others"] >= 0.04 for row in stages.rows)  # two share a task
    about = stages.describe()
    assert about["user"]["count"] == 8
    assert about["user"]["min"] <= about["user"]["p50"] <= about["user"]["p99"]
    assert "user" in repr(stages)
    frame = stages.to_pandas()
    assert {"queued", "inputs", "user", "total"} <= set(frame.columns)
    with pytest.raises(UsageError, match="there is no stage 'usr'"):
        stages.percentile("usr", 50)


def test_stages_of_a_retried_call_tell_the_attempts(client):
    handle = work.invoke("die")
    handle.exception()
    (row,) = MultiResultHandle([handle]).stages().rows
    assert row["attempt"] == 3
    assert row["retried"] > 0


def test_waits_for_inputs_are_a_stage_of_their_own(client):
    first = work.invoke(0.3)
    second = MultiResultHandle([add.invoke(first, 0)])
    second.wait()
    (row,) = second.stages().rows
    assert row["waiting"] >= 0.2
