"""Causes of death are told as they are known."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from pymonik.launch import cgroups, death
from pymonik.launch.death import Death, OomKills

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_codes_and_signals_have_their_names() -> None:
    assert str(Death(7)) == "exit code 7"
    assert str(Death(-signal.SIGSEGV)) == "SIGSEGV"
    assert str(Death(-40)) == "signal 40"


def test_a_kill_by_the_kernel_is_told_from_one_by_somebody() -> None:
    assert "because memory was short" in str(Death(-signal.SIGKILL, is_oom=True))
    assert "neither by pymonik nor by the system" in str(Death(-signal.SIGKILL))


def test_the_kernel_is_blamed_only_for_what_it_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = tmp_path / "vmstat"
    counter.write_text("nr_dirty 5\noom_kill 3\n")
    monkeypatch.setattr(death, "_MACHINE", counter)
    monkeypatch.setattr(cgroups, "OWN", tmp_path / "none")
    kills = OomKills()
    assert not kills.has_new(-signal.SIGKILL)
    counter.write_text("nr_dirty 5\noom_kill 4\n")
    assert kills.has_new(-signal.SIGKILL)
    assert not kills.has_new(-signal.SIGSEGV)


def test_the_counter_of_the_group_is_used_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own").write_text("1:name=systemd:/\n0::/a/b\n")
    (tmp_path / "a" / "b").mkdir(parents=True)
    events = tmp_path / "a" / "b" / "memory.events"
    events.write_text("low 0\noom_kill 1\noom_group_kill 0\n")
    monkeypatch.setattr(cgroups, "OWN", tmp_path / "own")
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    kills = OomKills()
    events.write_text("low 0\noom_kill 2\noom_group_kill 0\n")
    assert kills.has_new(-signal.SIGKILL)
