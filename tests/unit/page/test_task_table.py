"""The newest tasks of a cluster, by few requests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pymonik.page import task_table
from pymonik.page.task_table import TaskTable
from pymonik.runs.rows import TaskRow


class Cluster:
    """Tasks that the test changes; remembers how many rows were asked for."""

    def __init__(self) -> None:
        self.rows: dict[str, TaskRow] = {}
        self.told = 0

    def add(self, number: int, status: str = "SUBMITTED") -> None:
        name = f"task{number}"
        self.rows[name] = TaskRow(name, "s", status, "p", first_id=name, created=float(number))

    def end(self, number: int) -> None:
        self.rows[f"task{number}"] = replace(self.rows[f"task{number}"], status="COMPLETED")

    def tasks(self, *, limit: int, statuses: Any = (), ids: Any = (), **_: Any) -> list[TaskRow]:
        found = [
            row
            for row in sorted(self.rows.values(), key=lambda row: -(row.created or 0))
            if (not statuses or row.status in statuses) and (not ids or row.task_id in ids)
        ][:limit]
        self.told += len(found)
        return found


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def table_of(cluster: Any) -> TaskTable:
    return TaskTable(cluster)


def statuses(table: TaskTable) -> dict[str, int]:
    found = [row.status for row in table.rows]
    return {status: found.count(status) for status in set(found)}


def test_it_learns_what_is_new_and_what_has_ended(cluster: Cluster) -> None:
    table = table_of(cluster)
    for number in range(3_000):
        cluster.add(number)
    table.look()
    assert statuses(table) == {"SUBMITTED": 3_000}
    for number in range(2_990):
        cluster.end(number)
    cluster.add(3_000)
    table.look()
    assert statuses(table) == {"SUBMITTED": 11, "COMPLETED": 2_990}


def test_what_has_ended_is_not_asked_for_again(cluster: Cluster) -> None:
    table = table_of(cluster)
    for number in range(5_000):
        cluster.add(number, "COMPLETED")
    table.look()
    cluster.told = 0
    table.look()
    assert cluster.told <= 1_000


def test_many_new_ones_at_once_are_all_found(cluster: Cluster) -> None:
    table = table_of(cluster)
    cluster.add(0)
    table.look()
    for number in range(1, 3_001):
        cluster.add(number, "COMPLETED")
    table.look()
    assert statuses(table) == {"SUBMITTED": 1, "COMPLETED": 3_000}


def test_the_oldest_are_forgotten(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_table, "MOST_TASKS", 100)
    table = table_of(cluster)
    for number in range(150):
        cluster.add(number, "COMPLETED")
    table.look()
    assert sorted(row.created or 0 for row in table.rows)[0] == 50
    assert len(list(table.rows)) == 100
