"""How much memory an executor uses with all that it started."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from pymonik.executor import memory_watch
from pymonik.executor.limits import MIB
from pymonik.executor.memory_watch import MemoryWatch

if TYPE_CHECKING:
    import pytest

EXECUTOR: Any = SimpleNamespace(pid=1, supervisor=0)


def test_what_is_counted_twice_for_a_moment_is_not_too_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A child has the memory of its parent until it has become another program."""
    trees = iter([{1, 2}, {1, 2}, {1}, {1, 2, 3}])
    monkeypatch.setattr(memory_watch, "_unshared", lambda _pid: 60 * MIB)
    watch = MemoryWatch(EXECUTOR, 100 * MIB)
    monkeypatch.setattr(watch, "_below", lambda: next(trees, {1, 2, 3}))
    monkeypatch.setattr(watch, "_of_one", lambda _pid: 60 * MIB)
    assert not watch.is_exceeded()
    assert watch.peak == 60 * MIB
    assert watch.is_exceeded()
