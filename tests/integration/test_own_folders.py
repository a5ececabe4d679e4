"""Where tasks run as on another machine, each executor has an empty folder of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from pymonik import LocalCluster, Pymonik, task

TIMEOUT_S = 50.0


@task
def look(name: str = "") -> dict[str, Any]:
    import time

    found = {"folder": os.getcwd(), "there": os.listdir(), "pid": os.getpid()}  # noqa: PTH109, PTH208
    if name:
        Path(name).mkdir()
        Path(name, "file").write_text("x")
        Path("file").write_text("x")
        Path("link").symlink_to("/")
    time.sleep(0.05)  # for calls to be spread
    return found


@pytest.mark.parametrize("is_worker", [False, True])
def test_each_executor_has_an_empty_folder_that_stays_empty(is_worker: bool) -> None:
    worker = [sys.executable, "-m", "pymonik.worker"] if is_worker else None
    with LocalCluster(workers=2, worker=worker, isolated=True) as cluster:
        with Pymonik(cluster):
            found = look.map_invoke([f"left-{n}" for n in range(10)], chunk_size=1).get(TIMEOUT_S)
            found += [look.invoke().get(timeout=TIMEOUT_S) for _ in range(4)]
            chunk = look.map_invoke([f"left-{n}" for n in range(4)], chunk_size=4)
            chunk.get(timeout=TIMEOUT_S)
            found.append(look.invoke().get(timeout=TIMEOUT_S))
        folders = {one["pid"]: one["folder"] for one in found}
        assert len(set(folders.values())) == len(folders) >= 2
        assert all(one["folder"] == folders[one["pid"]] for one in found)
        assert not any(one["there"] for one in found)
        assert Path("/").is_dir()
    assert not any(Path(folder).exists() for folder in folders.values())
