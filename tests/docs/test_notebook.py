"""The notebook of the documentation, run from its first cell to its last."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

TIMEOUT_S = 200
NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebook.ipynb"
WRITE = "PYMONIK_WRITE_DOCS"  # set to have what the cells show now stand in the documentation


class ThisPython(AsyncKernelManager):  # type: ignore[misc]
    """A kernel of the interpreter that runs the tests, wherever kernels are installed."""

    @property
    def kernel_spec(self) -> Any:
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=command, display_name="this", language="python")


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each code cell shows, by its first line."""
    folder = tmp_path_factory.mktemp("notebook")
    notebook: Any = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(
        notebook,
        timeout=TIMEOUT_S,
        kernel_manager_class=ThisPython,
        resources={"metadata": {"path": str(folder)}},
    ).execute()  # raises what a cell raises that has no tag for it
    nbformat.validate(notebook)
    assert (folder / "pendulum.html").exists()
    if os.environ.get(WRITE):
        nbformat.write(notebook, folder / NOTEBOOK.name)
        shutil.copy(folder / NOTEBOOK.name, NOTEBOOK)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return {cell.source.splitlines()[0]: cell.outputs for cell in code}


def text(outputs: list[dict[str, Any]]) -> str:
    (output,) = outputs
    return str(output["data"]["text/plain"] if "data" in output else output["text"])


def test_the_view_shows_the_end_of_the_run(shown: dict[str, Any]) -> None:
    (view,) = shown["cases = ["]
    assert view["data"]["text/plain"] == "period · pendulum   342/360 ok · 18 failed"
    html = view["data"]["text/html"]
    assert html.count("<i ") == 360
    assert "ValueError x18" in html
    assert "slowest" in html
    assert re.search(r'title="1 failed · length=0\.0, amplitude=10', html)


def test_the_mistake_is_shown_in_few_lines_of_the_notebook(shown: dict[str, Any]) -> None:
    (error,) = shown["m.get()"]
    assert error["ename"] == "ValueError"
    trace = "\n".join(error["traceback"])
    assert "no pendulum has a length" in trace
    assert "item 0 of 360" in trace or sys.version_info < (3, 11)
    assert "/pymonik/" not in trace
    assert len(trace.splitlines()) <= 25


def test_what_failed_was_repaired(shown: dict[str, Any]) -> None:
    assert (
        text(shown["failed = [error for error in m.exceptions() if error]  # waits for all"])
        == "18"
    )
    assert text(shown["print(m)"]).startswith("period · pendulum   360/360 ok")
    assert text(shown["seconds = m.get()"]) == "(2.007, 2.006)"


def test_the_saved_notebook_shows_what_its_cells_show(shown: dict[str, Any]) -> None:
    saved: Any = nbformat.read(NOTEBOOK, as_version=4)
    cells = [cell for cell in saved.cells if cell.cell_type == "code"]
    kinds = [[output["output_type"] for output in cell.outputs] for cell in cells]
    assert kinds == [[output["output_type"] for output in outputs] for outputs in shown.values()]
