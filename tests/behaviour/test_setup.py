"""``@task(setup=...)``: once in each executor, before its first call."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pymonik import Pymonik, UsageError, get_context, task

TIMEOUT_S = 50.0

loaded: list[str] = []


def load() -> dict[str, int]:
    assert get_context().task_id
    loaded.append("load")
    return {"pid": os.getpid(), "times": len(loaded)}


@task(setup=load)
def model() -> dict[str, int]:
    return dict(get_context().setup)


async def load_later() -> str:
    return "later"


@task(setup=load_later)
def later() -> Any:
    return get_context().setup


def load_from_disk() -> str:
    path = Path(os.environ["PYMONIK_TEST_MODEL"])
    if path.exists():
        return path.read_text(encoding="utf-8")
    path.write_text("model", encoding="utf-8")
    raise OSError("no model yet")


@task(setup=load_from_disk)
def from_disk() -> Any:
    return get_context().setup


def test_a_setup_runs_once_in_each_executor(client: Pymonik) -> None:
    calls = [model.invoke() for _ in range(20)]
    calls += model.map_invoke([()] * 20, chunk_size=5)
    seen = [call.get(timeout=TIMEOUT_S) for call in calls]

    assert {one["times"] for one in seen} == {1}
    assert len({one["pid"] for one in seen}) <= 2


def test_a_setup_may_be_a_coroutine(client: Pymonik) -> None:
    assert later.invoke().get(timeout=TIMEOUT_S) == "later"


def test_a_setup_that_raises_fails_the_call_and_is_tried_again(
    client: Pymonik, tmp_path: Path
) -> None:
    environment = {"env_variables": {"PYMONIK_TEST_MODEL": str(tmp_path / "model")}}
    with pytest.raises(OSError, match="no model yet"):
        from_disk.invoke(pmk_environment=environment).get(timeout=TIMEOUT_S)
    assert from_disk.invoke(pmk_environment=environment).get(timeout=TIMEOUT_S) == "model"


def test_a_task_without_a_setup_has_none(client: Pymonik) -> None:
    @task
    def plain() -> Any:
        return get_context().setup

    assert plain.invoke().get(timeout=TIMEOUT_S) is None


def test_a_setup_is_a_function() -> None:
    wrong: Any = 3
    with pytest.raises(UsageError, match="setup= takes a function"):
        task(setup=wrong)(lambda: 0)


def test_a_replay_has_what_the_setup_gives(client: Pymonik) -> None:
    handle = named.invoke("weight")
    handle.wait(TIMEOUT_S)

    assert handle.replay() == "weight of a table"


def load_table() -> dict[str, str]:
    return {"weight": "weight of a table"}


@task(setup=load_table)
def named(name: str) -> str:
    table: dict[str, str] = get_context().setup
    return table[name]
