"""What a call finds around it: its context, variables and packages."""

from __future__ import annotations

import os
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from pymonik import Pymonik, PymonikContext, get_context, task
from pymonik.errors import EnvironmentSetupError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pymonik.cluster.local import LocalCluster

TIMEOUT_S = 55.0


@task
def variable(name: str) -> str | None:
    return os.environ.get(name)


@task
def variable_of_a_subtask(name: str) -> Any:
    return variable.invoke(name)


@task(require_context=True)
def about(ctx: PymonikContext, word: str) -> dict[str, Any]:
    ctx.logger.info("logged")
    return {"word": word, "task": ctx.task_id, "session": ctx.session_id}


@task
def about_without_argument() -> str:
    return get_context().task_id


@task
def answer() -> int:
    import tinypackage  # type: ignore[import-not-found]

    return int(tinypackage.ANSWER)


@task
def prints() -> int:
    print("from the task")  # noqa: T201
    return 1


@pytest.fixture
def tiny_wheel(tmp_path: Path) -> Path:
    """A package of one line, as a wheel: installed without a network."""
    wheel = tmp_path / "tinypackage-1.0-py3-none-any.whl"
    info = "tinypackage-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tinypackage.py", "ANSWER = 42\n")
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: tinypackage\nVersion: 1.0\n"
        )
        archive.writestr(
            f"{info}/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr(f"{info}/RECORD", "")
    return wheel


@pytest.fixture
def with_variables(cluster: LocalCluster) -> Iterator[Pymonik]:
    environment = {"env_variables": {"PYMONIK_TEST_COLOUR": "blue"}}
    with Pymonik(endpoint=cluster.endpoint, environment=environment) as client:
        yield client


def test_variables_of_the_environment_are_set(with_variables: Pymonik) -> None:
    assert variable.invoke("PYMONIK_TEST_COLOUR").result(timeout=TIMEOUT_S) == "blue"


def test_a_subtask_inherits_the_variables(with_variables: Pymonik) -> None:
    handle = variable_of_a_subtask.invoke("PYMONIK_TEST_COLOUR")
    assert handle.result(timeout=TIMEOUT_S) == "blue"


def test_variables_do_not_stay_for_others(with_variables: Pymonik, client: Pymonik) -> None:
    first = variable.invoke("PYMONIK_TEST_COLOUR", pymonik=with_variables)
    assert first.result(timeout=TIMEOUT_S) == "blue"
    handles = variable.map_invoke([("PYMONIK_TEST_COLOUR",)] * 4, pymonik=client)
    assert set(handles.wait(timeout=TIMEOUT_S).get()) == {None}


def test_a_task_with_a_context_knows_where_it_runs(client: Pymonik) -> None:
    seen = about.invoke("hello").result(timeout=TIMEOUT_S)
    assert seen["word"] == "hello"
    assert seen["task"]
    assert seen["session"]


def test_the_context_is_there_without_being_asked_for(client: Pymonik) -> None:
    assert about_without_argument.invoke().result(timeout=TIMEOUT_S)


def test_printing_does_not_disturb(client: Pymonik) -> None:
    assert prints.invoke().result(timeout=TIMEOUT_S) == 1


def test_a_missing_module_is_named(client: Pymonik) -> None:
    with pytest.raises(ModuleNotFoundError, match="tinypackage"):
        answer.invoke().result(timeout=TIMEOUT_S)


def test_packages_of_the_environment_are_there(cluster: LocalCluster, tiny_wheel: Path) -> None:
    environment = {"pip": [f"tinypackage @ {tiny_wheel.as_uri()}"]}
    with Pymonik(endpoint=cluster.endpoint, environment=environment):
        assert answer.invoke().result(timeout=TIMEOUT_S) == 42


def test_a_package_that_cannot_be_installed_is_named(cluster: LocalCluster, tmp_path: Path) -> None:
    broken = tmp_path / "nowhere-1.0-py3-none-any.whl"
    broken.write_bytes(b"no archive")
    with (
        Pymonik(endpoint=cluster.endpoint, environment={"pip": [str(broken)]}),
        pytest.raises(EnvironmentSetupError, match="nowhere"),
    ):
        answer.invoke().result(timeout=TIMEOUT_S)
