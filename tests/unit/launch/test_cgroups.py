"""Limits of both versions of cgroups, in a container and around it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pymonik.launch import cgroups, hardware, memory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MIB = 1 << 20


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    monkeypatch.setattr(cgroups, "OWN", tmp_path / "own")

    def write_file(name: str, text: str) -> None:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")

    return write_file


def test_the_least_limit_of_the_groups_around_a_process_counts(
    write: Callable[[str, str], None],
) -> None:
    write("own", "0::/pod/worker")
    write("pod/worker/memory.max", "max")
    write("pod/memory.max", str(300 * MIB))
    write("memory.max", str(400 * MIB))
    assert memory.of_container() == 300 * MIB


def test_a_limit_of_version_1_counts_and_its_largest_number_is_none(
    write: Callable[[str, str], None],
) -> None:
    write("own", "5:cpu,cpuacct:/\n4:memory:/on/the/machine\n0::/")
    write("memory/memory.limit_in_bytes", "9223372036854771712")
    assert memory.of_container() is None
    write("memory/memory.limit_in_bytes", str(200 * MIB))
    assert memory.of_container() == 200 * MIB


@pytest.mark.parametrize(
    ("quota", "period", "most"),
    [("-1", "100000", None), ("100000", "100000", 1), ("150000", "100000", 2)],
)
def test_a_share_of_processors_of_version_1_counts(
    write: Callable[[str, str], None], quota: str, period: str, most: int | None
) -> None:
    write("own", "5:cpu,cpuacct:/docker/x")
    alone = hardware.processors()
    write("cpu/cpu.cfs_quota_us", quota)
    write("cpu/cpu.cfs_period_us", period)
    assert hardware.processors() == (alone if most is None else min(most, alone))
