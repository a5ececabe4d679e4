"""The README can be followed by a stranger: its commands are whole, its programs run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.docs.conftest import Programs

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def test_two_commands_set_up_run_and_test_from_nothing() -> None:
    run, test, *_ = (block.strip() for block in _blocks("sh"))
    for command in (run, test):
        assert "\n" not in command
        assert command.startswith("python3 -m venv .venv && ")
        assert "uv " not in command
        assert "-c constraints.txt" in command
    assert run.endswith("test_client/code_report.py")
    assert ".venv/bin/python -m pytest" in test


def test_files_that_the_readme_names_are_there() -> None:
    names = re.findall(r"(?:\]\(|\b)((?:docs|test_client|worker_image)/[\w./-]+\w)", README)
    assert names
    assert [name for name in names if not (ROOT / name).exists()] == []


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(_blocks("python"))))
def test_a_program_of_the_readme_runs(number: int, programs: Programs) -> None:
    program = programs.folder / "program.py"
    program.write_text(_blocks("python")[number], encoding="utf-8")
    ended = programs.run(program)
    assert ended.returncode == 0, ended.errors
    said = re.findall(r"print\(.*\)  # (.*)$", _blocks("python")[number], re.MULTILINE)
    assert ended.output.splitlines() == said
