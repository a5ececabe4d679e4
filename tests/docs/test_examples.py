"""Each script of ``test_client/`` runs and checks its own result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

if TYPE_CHECKING:
    from tests.docs.conftest import Programs

FOLDER = Path(__file__).parents[2] / "test_client"
REPORT = {"code_report", "code_picture"}
EXAMPLES = sorted(path for path in FOLDER.glob("*.py") if path.stem not in REPORT)


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_on_this_machine(example: Path, programs: Programs) -> None:
    ended = programs.run(example)
    assert ended.returncode == 0, ended.errors
    assert ended.output


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_on_a_cluster_elsewhere(
    example: Path, programs: Programs, cluster_on_5001: str
) -> None:
    ended = programs.run(example, "--endpoint", cluster_on_5001)
    assert ended.returncode == 0, ended.errors


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_short(example: Path) -> None:
    assert len(example.read_text(encoding="utf-8").splitlines()) < 60


@pytest.mark.slow
def test_the_code_report_measures_a_folder(programs: Programs) -> None:
    json_package = Path(json.__file__).parent
    ended = programs.run(FOLDER / "code_report.py", json_package)
    assert ended.returncode == 0, ended.errors
    assert "decoder.py" in ended.output
    report = programs.folder / "report"
    assert (report / "code.md").read_text(encoding="utf-8").strip() in ended.output
    assert ElementTree.parse(report / "code.svg").getroot().tag.endswith("svg")


@pytest.mark.slow
def test_the_code_report_counts_a_file_that_does_not_parse(programs: Programs) -> None:
    sources = programs.folder / "sources"
    sources.mkdir()
    (sources / "good.py").write_text("def f(x):\n    return 1 if x and x > 1 else 2\n")
    (sources / "bad.py").write_text("print 'two'\n")
    ended = programs.run(FOLDER / "code_report.py", sources)
    assert ended.returncode == 0, ended.errors
    assert "Not parsed by this Python (1)" in ended.output
    assert "|          3 |     2 | f        | good.py:1 |" in ended.output
