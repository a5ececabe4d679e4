"""What a process finds that it may use of a machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from pymonik.launch import cgroups, hardware
from pymonik.wire.inventory import Gpu

LISTED = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-aaaa-1)
  MIG 3g.20gb     Device  0: (UUID: MIG-cccc-1)
  MIG 1g.5gb      Device  1: (UUID: MIG-cccc-2)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-bbbb-2)
GPU 2: Tesla T4 (UUID: GPU-dddd-3)
"""
SIZES = "GPU-aaaa-1, 40960\nGPU-bbbb-2, 40960\nGPU-dddd-3, [N/A]\n"
WHOLE = Gpu("NVIDIA A100-SXM4-40GB", 40960 << 20, "GPU-bbbb-2")
T4 = Gpu("Tesla T4", 0, "GPU-dddd-3")
PARTS = [
    Gpu("NVIDIA A100-SXM4-40GB MIG 3g.20gb", 20 << 30, "MIG-cccc-1"),
    Gpu("NVIDIA A100-SXM4-40GB MIG 1g.5gb", 5 << 30, "MIG-cccc-2"),
]


@pytest.mark.parametrize(("text", "most"), [("150000 100000", 2), ("max 100000", 64), ("", 64)])
def test_a_container_may_use_no_more_than_its_quota(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, most: int
) -> None:
    (tmp_path / "cpu.max").write_text(text)
    (tmp_path / "own").write_text("0::/\n")
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    monkeypatch.setattr(cgroups, "OWN", tmp_path / "own")
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(64), raising=False)
    assert hardware.processors() == most


def test_a_gpu_that_is_divided_is_listed_as_its_parts() -> None:
    assert hardware.visible(hardware.listed_gpus(LISTED, SIZES), {}) == [WHOLE, T4, *PARTS]


@pytest.mark.parametrize(
    ("variable", "seen"),
    [
        ("1", [WHOLE]),
        ("2,1", [T4, WHOLE]),
        ("MIG-cccc-2", [PARTS[1]]),
        ("GPU-bbbb", [WHOLE]),
        ("1,7,2", [WHOLE]),  # what follows a number that does not exist is hidden
        ("-1", []),
        ("", []),
    ],
)
def test_the_variable_of_cuda_says_which_gpus_are_seen(variable: str, seen: list[Gpu]) -> None:
    found = hardware.listed_gpus(LISTED, SIZES)
    assert hardware.visible(found, {"CUDA_VISIBLE_DEVICES": variable}) == seen


def test_a_tool_that_hangs_costs_its_time_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\nexec sleep 60\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(hardware, "_GPUS_S", 0.3)
    assert hardware.may_have_gpus()
    assert hardware.gpus() == []


def test_a_machine_without_the_tool_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert not hardware.may_have_gpus()
    assert hardware.gpus() == []
