"""Where the programs of `tests/cases/programs` run: each way that a cluster can be had."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pymonik.cluster.local import LocalCluster

if TYPE_CHECKING:
    from collections.abc import Iterator

START_S = 60
OWN = "own cluster"
ELSEWHERE = "command elsewhere"
WORKER = "armonik worker"
ISOLATED = "isolated cluster"


@pytest.fixture(scope="session")
def endpoints(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoints]:
    """The clusters that programs are sent to; each is started for the first that asks."""
    started = Endpoints(tmp_path_factory.mktemp("clusters"))
    yield started
    started.close()


class Endpoints:
    """Files for ``AKCONFIG``, by the way in which their cluster runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, Path | None] = {OWN: None}
        self._open: list[Iterator[str]] = []

    def file(self, where: str) -> Path | None:
        """What ``AKCONFIG`` names; ``None`` for a program that has a cluster of its own."""
        if where not in self._files:
            opened = iter(_opened(where, self._folder))
            self._open.append(opened)
            path = self._folder / f"{where}.json"
            path.write_text(json.dumps({"endpoint": next(opened)}))
            self._files[where] = path
        return self._files[where]

    def close(self) -> None:
        """Stop what was started."""
        for opened in self._open:
            next(opened, None)


def _opened(where: str, folder: Path) -> Iterator[str]:
    with _elsewhere(folder) if where == ELSEWHERE else _local(where) as endpoint:
        yield endpoint


@contextmanager
def _elsewhere(folder: Path) -> Iterator[str]:
    """``pymonik cluster``, started from a folder in which there is nothing."""
    empty = folder / "empty"
    empty.mkdir()
    command = [sys.executable, "-m", "pymonik", "cluster", "--workers", "2", "--port", "0"]
    variables = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    with subprocess.Popen(
        command, cwd=empty, env=variables, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        _, _, rest = process.stdout.readline().partition("listening on ")
        yield rest.split()[0]
        process.terminate()


@contextmanager
def _local(where: str) -> Iterator[str]:
    """Our ArmoniK worker behind gRPC, or executors that share no folder with the program."""
    worker = [sys.executable, "-m", "pymonik.worker"] if where == WORKER else None
    with LocalCluster(workers=2, worker=worker, isolated=where == ISOLATED) as cluster:
        yield cluster.endpoint
