"""What the system is told about the memory of an executor."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

from pymonik.executor import limits as limits_module
from pymonik.executor.limits import MIB, MemoryWatch, limit_reservations

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_inputs_do_not_count_and_may_be_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[int] = []
    unlimited = resource.RLIM_INFINITY
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (unlimited, unlimited))
    monkeypatch.setattr(resource, "setrlimit", lambda _kind, pair: limits.append(pair[0]))
    (tmp_path / "input").write_bytes(bytes(1000))
    limit_reservations(10 * MIB, [str(tmp_path / "input"), str(tmp_path / "deleted")])
    assert limits == [15 * MIB + 1000]


def test_what_is_counted_twice_for_a_moment_is_not_too_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A child has the memory of its parent until it has become another program."""
    trees = iter([{1, 2}, {1, 2}, {1}, {1, 2, 3}])
    monkeypatch.setattr(limits_module, "_unshared", lambda _pid: 60 * MIB)
    watch = MemoryWatch(0, 100 * MIB)
    monkeypatch.setattr(watch, "_below", lambda: next(trees, {1, 2, 3}))
    monkeypatch.setattr(watch, "_of_one", lambda _pid: 60 * MIB)
    assert not watch.is_exceeded()
    assert watch.peak == 60 * MIB
    assert watch.is_exceeded()
