"""The commands of the page "When something breaks" run against a cluster, one after the other."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pymonik import LocalCluster, Pymonik, task

PAGE = Path(__file__).parents[2] / "docs" / "when-something-breaks.md"
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_OF_THIS_MACHINE = ("env",)  # they look at no cluster


@task
def double(number: int) -> int:
    return 2 * number


def commands() -> list[list[str]]:
    blocks = _BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    return [shlex.split(line)[1:] for block in blocks for line in block.splitlines()]


@pytest.mark.slow
def test_the_commands_of_the_page_run(tmp_path: Path) -> None:
    assert len(commands()) > 5
    with LocalCluster(workers=1, port=0) as cluster, Pymonik(cluster.endpoint):
        double.map_invoke(range(3)).wait(timeout=60)
        for words in commands():
            if words[0] == "cluster":
                continue  # `test_kept_data` starts one in this way
            where = [] if words[0] in _OF_THIS_MACHINE else ["--endpoint", cluster.endpoint]
            command = [sys.executable, "-m", "pymonik", *words, *where]
            ended = subprocess.run(
                command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
            )
            assert ended.returncode == 0, (words, ended.stdout, ended.stderr)
