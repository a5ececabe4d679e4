"""Small programs that must work, each in a process and a folder of its own.

A program is a file ``programs/<topic>/<name>.py``, or a folder ``programs/<topic>/<name>`` with a
``main.py`` and what it imports; a file ``arguments`` in it has other arguments for the interpreter
than ``main.py``, as a shell reads them. It stands for a kind of fault and says in its first line
what is true when its exit code is 0. Programs of the topics in `EVERYWHERE` also run on clusters
that share nothing with them.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cases.conftest import ELSEWHERE, ISOLATED, WORKER

if TYPE_CHECKING:
    from tests.cases.conftest import Endpoints

PROGRAMS = Path(__file__).parent / "programs"
EVERYWHERE = {"code"}
LIMIT_S = 90


def _programs() -> list[Path]:
    files = PROGRAMS.glob("*/*.py")
    folders = (path.parent for path in PROGRAMS.glob("*/*/main.py"))
    folders_with_arguments = (path.parent for path in PROGRAMS.glob("*/*/arguments"))
    return sorted({*files, *folders, *folders_with_arguments})


def _name(path: Path) -> str:
    return f"{path.parent.name}-{path.stem}"


@pytest.mark.parametrize("program", _programs(), ids=_name)
def test_a_program_does_what_its_first_line_says(program: Path, tmp_path: Path) -> None:
    _check(program, tmp_path, None)


@pytest.mark.slow
@pytest.mark.parametrize("where", [ELSEWHERE, ISOLATED, WORKER])
@pytest.mark.parametrize(
    "program", [one for one in _programs() if one.parent.name in EVERYWHERE], ids=_name
)
def test_a_program_does_the_same_on_a_cluster_elsewhere(
    program: Path, tmp_path: Path, where: str, endpoints: Endpoints
) -> None:
    _check(program, tmp_path, endpoints.file(where))


def _check(program: Path, folder: Path, config: Path | None) -> None:
    arguments = _copied(program, folder / "program")
    variables = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    if config is not None:
        variables["AKCONFIG"] = str(config)
    try:
        ended = subprocess.run(
            [sys.executable, *arguments],
            cwd=folder / "program",
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=LIMIT_S,
            check=False,
            text=True,
            errors="backslashreplace",
        )
    except subprocess.TimeoutExpired as late:
        output = (late.stdout or b"").decode(errors="backslashreplace")
        pytest.fail(f"not done after {LIMIT_S} s:\n{output}")
    assert ended.returncode == 0, f"exit code {ended.returncode}:\n{ended.stdout}"


def _copied(program: Path, folder: Path) -> list[str]:
    """The arguments that run the program in its own folder."""
    if program.is_file():
        folder.mkdir()
        shutil.copy(program, folder / "main.py")
        return ["main.py"]
    shutil.copytree(program, folder, ignore=shutil.ignore_patterns("__pycache__"))
    given = folder / "arguments"
    return shlex.split(given.read_text()) if given.exists() else ["main.py"]
