"""What programs ask of the cluster's lists."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pymonik import File, LocalCluster, Pymonik, task
from pymonik.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT_S = 55.0


@task
def inverse(n: int) -> float:
    return 1 / n


@task
def waits() -> None:
    threading.Event().wait()


@task(outputs="made.txt")
def makes() -> File:
    Path("made.txt").write_text("m" * 100_000)
    return File("made.txt")


@pytest.fixture
def client() -> Iterator[Pymonik]:
    with LocalCluster(workers=2) as cluster, Pymonik(cluster, on_unseen="ignore") as client:
        yield client


def test_tasks_are_filtered_ordered_counted_and_cancelled(client: Pymonik):
    inverse.map_invoke([1, 2, 0], chunk_size=1, label="study").exceptions(timeout=TIMEOUT_S)
    blocked = waits.invoke()
    assert client.tasks(label="study").tally() == {"COMPLETED": 2, "ERROR": 1}
    (failed,) = client.tasks("failed")
    assert failed.function == "inverse"
    starts = [row.started for row in client.tasks("ok").order_by("started", descending=True)]
    assert len(starts) == 2
    assert starts == sorted(starts, key=lambda at: at or 0.0, reverse=True)
    assert len(client.tasks(function="inverse")) == 3
    assert len(client.tasks().where(lambda row: row.attempt == 1, status={"ERROR"})) == 1
    assert client.tasks(function="waits").cancel() == 1
    assert blocked.outcome(timeout=TIMEOUT_S).status == "cancelled"
    assert client.tasks("live").cancel() == 0
    with pytest.raises(UsageError, match="status is one of"):
        client.tasks("broken")
    with pytest.raises(UsageError, match="rows have no 'colour'"):
        client.tasks().where(colour="red")


def test_files_of_the_session_are_downloaded_and_deleted(client: Pymonik, tmp_path: Path):
    assert makes.invoke().get(timeout=TIMEOUT_S).read_text() == "m" * 100_000
    (path,) = client.results("made.txt").download(tmp_path / "files")
    assert path == tmp_path / "files" / "made.txt"
    assert path.read_text() == "m" * 100_000
    assert client.results("made.txt").delete() == 1


def test_sessions_are_found_and_cancelled(client: Pymonik):
    with Pymonik(client.endpoint, on_unseen="ignore") as other:
        blocked = waits.invoke(pymonik=other)
        other.send()
        assert client.sessions().where(session_id=other.session_id).cancel() == 1
        assert blocked.outcome(timeout=TIMEOUT_S).status == "cancelled"
    assert "RUNNING" in client.sessions().tally()
