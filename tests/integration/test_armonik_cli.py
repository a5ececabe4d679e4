"""ArmoniK's command line, `armonik_cli`, as its package index has it, against an embedded cluster."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pymonik.cluster.local import LocalCluster

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("armonik_cli", reason="in the dependency group `test`") if not os.environ.get(
    "CI"
) else None

WORKER = Path(__file__).parents[1] / "workers" / "small_worker.py"
PROGRAM = "from armonik_cli.cli import cli; cli()"  # what the script `armonik` does
TIMEOUT_S = 60


class Terminal:
    """Runs commands of the program and reads their JSON.

    Args:
        endpoint: Of the cluster.
        home: Where the program keeps its settings.
    """

    def __init__(self, endpoint: str, home: Path) -> None:
        self._endpoint = endpoint
        self._environment = {**os.environ, "HOME": str(home), "XDG_CONFIG_HOME": str(home)}

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", PROGRAM, *words, "--endpoint", self._endpoint],
            capture_output=True,
            text=True,
            env=self._environment,
            timeout=TIMEOUT_S,
            check=False,
        )

    def json(self, *words: str) -> Any:
        done = self.run(*words, "--output", "json")
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    def session(self) -> str:
        made = self.json("session", "create", "--partition", "P", "--default-partition", "P")
        return str(made["SessionId"])


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    command = [sys.executable, str(WORKER)]
    with LocalCluster(partitions={"P": 1, "Q": 0}, worker=command, port=0) as cluster:
        yield Terminal(cluster.endpoint, tmp_path_factory.mktemp("home"))
