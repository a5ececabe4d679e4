"""Workers, from what they said of themselves and from their tasks."""

from __future__ import annotations

from typing import Any

import pytest

from pymonik.errors import ControlPlaneError
from pymonik.runs.rows import PartitionRow, ResultRow, TaskRow
from pymonik.runs.workers import Worker, workers
from pymonik.wire.inventory import POD_KEY, Gpu, Inventory

NOW = 100_000.0
SAID = Inventory(
    host="pod-7",
    partition="gpu",
    cpus=4,
    memory=8 << 30,
    gpus=(Gpu("T4", 15 << 30),),
    python="3.12.1",
    pymonik="0.1.0",
    started=NOW - 5_000,
)


class Cluster:
    """Lists with these rows."""

    def __init__(
        self, *rows: TaskRow, said: dict[str, bytes] | None = None, pods: str = ""
    ) -> None:
        self._rows = rows
        self._said = said or {}
        self._pods = pods

    def tasks(self, *, statuses: Any = (), **_: object) -> list[TaskRow]:
        return [row for row in self._rows if not statuses or row.status in statuses]

    def count_tasks_of(self, host: str, partition: str) -> dict[str, int]:
        return {"COMPLETED": 5_000} if host == "counted" else {}

    def results_named(self, prefix: str) -> list[ResultRow]:
        return [ResultRow(str(n), "COMPLETED", name=name) for n, name in enumerate(self._said)]

    def data(self, row: ResultRow) -> bytes:
        if not (data := self._said[row.name]):
            raise ControlPlaneError("DownloadResultData", "its session is gone")
        return data

    def partitions(self) -> list[PartitionRow]:
        return [PartitionRow("gpu", pods={POD_KEY: self._pods} if self._pods else {})]


def listed(*rows: TaskRow, **others: Any) -> list[Worker]:
    lists: Any = Cluster(*rows, **others)
    return workers(lists, NOW)


def had(status: str, worker: str, ago_s: float, **others: Any) -> TaskRow:
    return TaskRow(
        f"{worker}{ago_s}", "s", status, "gpu", worker=worker, acquired=NOW - ago_s, **others
    )


@pytest.mark.parametrize(
    ("ago_s", "state"),
    [(0, "active"), (119, "active"), (121, "idle"), (3_599, "idle"), (3_601, "lost")],
)
def test_a_worker_is_what_its_last_task_tells(ago_s: float, state: str) -> None:
    (worker,) = listed(had("COMPLETED", "pod-7", ago_s))
    assert worker.state == state
    assert worker.last_seen is not None
    assert worker.last_seen.timestamp() == NOW - ago_s


def test_a_worker_that_has_a_task_is_active_however_long_that_takes() -> None:
    row = had("PROCESSING", "pod-7", 50_000, options={"pymonik.function": "simulate"})
    (worker,) = listed(row)
    assert (worker.state, worker.running, worker.functions) == ("active", 1, {"simulate": 1})


def test_what_a_worker_said_is_joined_with_its_tasks() -> None:
    rows = [
        had("COMPLETED", "pod-7", 300),
        had("ERROR", "pod-7", 200),
        had("RETRIED", "pod-7", 150),
    ]
    said = {SAID.result_name: SAID.encoded()}
    (worker,) = listed(*rows, said=said)
    assert (worker.cpus, worker.memory, worker.python) == (4, 8 << 30, "3.12.1")
    assert worker.gpus == [Gpu("T4", 15 << 30)]
    assert (worker.done, worker.failed, worker.state) == (1, 2, "idle")


def test_the_control_plane_counts_what_is_more_than_a_list_shows() -> None:
    (worker,) = listed(had("COMPLETED", "counted", 10))
    assert worker.done == 5_000


def test_workers_of_one_machine_are_one_entry() -> None:
    (worker,) = listed(had("COMPLETED", "vm/w0", 10), had("PROCESSING", "vm/w1", 10))
    assert (worker.host, worker.running, worker.done) == ("vm", 1, 1)


def test_a_worker_of_an_embedded_cluster_lives_as_long_as_that_answers() -> None:
    (worker,) = listed(pods=SAID.encoded().decode())
    assert worker.state == "idle"
    assert worker.last_seen is not None
    assert worker.last_seen.timestamp() == NOW


@pytest.mark.parametrize("data", [b"", b"no json", b'{"host": 3}', b"\xff"])
def test_a_result_that_only_has_such_a_name_is_passed_over(data: bytes) -> None:
    assert listed(said={"pymonik.worker/gpu/pod-7": data}) == []
