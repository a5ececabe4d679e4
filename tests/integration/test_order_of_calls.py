"""Calls of one batch start in the order in which they were made, whatever functions they call."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pymonik import LocalCluster, Pymonik, task

PATIENCE_S = 60.0


@task
def one(path: str, number: int) -> None:
    note(path, number)


@task(max_retries=3)
def other(path: str, number: int) -> None:
    note(path, number)


@task(priority=1, max_duration=30)
def third(path: str, number: int) -> None:
    note(path, number)


def note(path: str, number: int) -> None:
    with Path(path).open("a") as file:
        file.write(f"{number}\n")


@task
def nap() -> None:
    time.sleep(0.5)


@pytest.mark.parametrize("direct", [True, False], ids=["direct", "gRPC"])
def test_functions_and_options_that_alternate(tmp_path: Path, direct: bool) -> None:
    path = str(tmp_path / "numbers")
    with LocalCluster(workers=1) as cluster, Pymonik(cluster, direct=direct) as client:
        for function in (one, other, third):
            function.invoke(path, -1, pymonik=client).get(PATIENCE_S)
        sleeping = nap.invoke(pymonik=client)
        client.session.send()
        handles = [(one, other, third)[n % 3].invoke(path, n, pymonik=client) for n in range(300)]
        for handle in (sleeping, *handles):
            handle.get(PATIENCE_S)
    assert Path(path).read_text().split() == ["-1"] * 3 + [str(n) for n in range(300)]


@pytest.mark.parametrize("size", [60, 1500])
def test_the_first_calls_of_a_function_over_grpc(tmp_path: Path, size: int) -> None:
    """The request with the first calls brings the function, so that others are ready before it."""
    path = str(tmp_path / "numbers")
    with LocalCluster(workers=1) as cluster, Pymonik(cluster.endpoint):
        one.map_invoke([(path, n) for n in range(size)], chunk_size=1).get(PATIENCE_S)
    assert Path(path).read_text().split() == [str(n) for n in range(size)]
