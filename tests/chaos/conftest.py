"""Seeds are printed: what was found once can be had again."""

from __future__ import annotations

import os
import random
import sys
import uuid
from pathlib import Path

import pytest

MARK = "PYMONIK_CHAOS_MARK"
DRAIN_S = 1.0


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Environments are built here, each test its own, without an index of packages."""
    for name in [name for name in os.environ if name.startswith(("UV_", "PIP_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Random numbers from the seed in the variable ``PYMONIK_CHAOS_SEED``, or a new one."""
    seed = int(os.environ.get("PYMONIK_CHAOS_SEED") or random.SystemRandom().randrange(2**32))
    sys.stdout.write(f"PYMONIK_CHAOS_SEED={seed} {request.node.name}\n")
    return random.Random(seed)


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> str:
    """A variable that all processes have which are started from here."""
    value = uuid.uuid4().hex
    monkeypatch.setenv(MARK, value)
    monkeypatch.setenv("PYMONIK_WORKER_DRAIN_S", str(DRAIN_S))
    return value
