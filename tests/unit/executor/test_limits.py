"""What the system is told about the memory of an executor."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

from pymonik.executor.limits import MIB, limit_reservations

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
