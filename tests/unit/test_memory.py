"""How much memory there is: the limit of the container, where it has one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import psutil
import pytest

from pymonik.launch import cgroups, memory

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which the system tells the limit."""
    (tmp_path / "own").write_text("0::/\n")
    monkeypatch.setattr(cgroups, "OWN", tmp_path / "own")
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    return tmp_path / "memory.max"


@pytest.mark.parametrize("text", [None, "max\n"])
def test_without_a_limit_it_is_the_memory_of_the_machine(limit: Path, text: str | None) -> None:
    if text is not None:
        limit.write_text(text)
    assert memory.of_container() is None
    assert memory.total() == pytest.approx(psutil.virtual_memory().total, rel=0.01)


def test_a_limit_is_not_exceeded(limit: Path) -> None:
    limit.write_text("1000000\n")
    assert memory.of_container() == memory.total() == 1_000_000


def test_a_limit_above_all_that_there_is_changes_nothing(limit: Path) -> None:
    whole = memory.total()
    limit.write_text(f"{2 * whole}\n")
    assert memory.total() == whole


@pytest.mark.parametrize(
    "told",
    [
        {"SC_PAGESIZE": os.sysconf("SC_PAGESIZE"), "SC_PHYS_PAGES": os.sysconf("SC_PHYS_PAGES")},
        {"SC_PAGESIZE": os.sysconf("SC_PAGESIZE")},
        {"SC_PAGESIZE": os.sysconf("SC_PAGESIZE"), "SC_PHYS_PAGES": -1},
    ],
    ids=["macOS", "an older macOS", "not told"],
)
def test_the_memory_of_the_machine_is_found_where_the_system_says_less(
    limit: Path, told: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def sysconf(name: str) -> int:
        if name not in told:
            raise ValueError("unrecognized configuration name")
        return told[name]

    monkeypatch.setattr(os, "sysconf", sysconf)
    assert not limit.exists()
    assert memory.total() == pytest.approx(psutil.virtual_memory().total, rel=0.01)
