from __future__ import annotations

import importlib.metadata
import sys
from typing import TYPE_CHECKING, Any

import pytest

from pymonik.code.exceptions import exception_of
from pymonik.code.failure import describe
from pymonik.environments.missing import advised
from pymonik.errors import SerializationError, TaskFailedError
from pymonik.wire.failure import decode, encode

if TYPE_CHECKING:
    from pathlib import Path


def arrived(error: BaseException) -> Any:
    """The exception as a client raises it."""
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001 - whatever it is
        return advised(exception_of(decode(encode(describe(caught)))))


def missing(name: str) -> ModuleNotFoundError:
    return ModuleNotFoundError(f"No module named {name!r}", name=name)


def notes(error: BaseException) -> str:
    return "\n".join(getattr(error, "__notes__", ()))


def test_a_package_that_is_installed_here_is_told_with_its_version_and_the_line() -> None:
    error = arrived(missing("msgspec"))
    version = importlib.metadata.version("msgspec")
    assert type(error) is ModuleNotFoundError
    assert error.name == "msgspec"
    assert str(error) == "No module named 'msgspec'"
    assert f"environment={{'pip': ['msgspec=={version}']}}" in notes(error)
    assert type(error.__cause__) is TaskFailedError
    assert "environment=" in str(error.__cause__)  # where notes are not printed


def test_a_package_with_another_name_than_its_module_is_found() -> None:
    version = importlib.metadata.version("pyyaml")
    assert f"PyYAML=={version}" in notes(arrived(missing("yaml.nodes")))


def test_what_is_nowhere_is_told() -> None:
    assert "not installed here either" in notes(arrived(missing("no_such_module")))


def test_a_module_of_the_program_is_to_be_included(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "left_behind.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    note = notes(arrived(missing("left_behind")))
    assert str(tmp_path / "left_behind.py") in note
    assert "include=['left_behind']" in note
    assert "left_behind" not in sys.modules


def test_an_argument_that_cannot_be_unpickled_is_told_with_the_same_help() -> None:
    error = SerializationError("a value cannot be unpickled here: No module named 'msgspec'")
    error.__cause__ = missing("msgspec")
    told = arrived(error)
    assert type(told) is SerializationError
    assert "environment=" in str(told)


@pytest.mark.parametrize(
    "error", [ValueError("No module named 'msgspec'"), ModuleNotFoundError("odd"), ImportError()]
)
def test_other_errors_are_left_alone(error: Exception) -> None:
    assert "the worker" not in notes(arrived(error))
