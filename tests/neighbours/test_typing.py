"""What type checkers say about calls of tasks."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RIGHT, WRONG = ROOT / "tests" / "typing_right.py", ROOT / "tests" / "typing_wrong.py"
COMMANDS = {"mypy": ["mypy", "--no-incremental"], "pyright": ["pyright"]}


@pytest.fixture(params=sorted(COMMANDS))
def checker(request: pytest.FixtureRequest) -> str:
    if importlib.util.find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    return str(request.param)


def lines_with_errors(checker: str, file: Path) -> list[int]:
    done = subprocess.run(
        [sys.executable, "-m", *COMMANDS[checker], str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = re.findall(rf"{file.name}:(\d+)(?::\d+)?(?: -)?:? error", done.stdout)
    return sorted(set(map(int, found)))


@pytest.mark.slow
def test_right_calls_are_let_be(checker: str):
    assert lines_with_errors(checker, RIGHT) == []


@pytest.mark.slow
def test_wrong_calls_are_named(checker: str):
    lines = WRONG.read_text(encoding="utf-8").splitlines()
    marked = [n for n, line in enumerate(lines, 1) if checker in line.partition("  # ")[2].split()]
    assert lines_with_errors(checker, WRONG) == marked
