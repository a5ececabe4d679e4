"""Notebooks, run as nbclient and papermill run them: what their saved form shows."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager, KernelManager
from nbclient import NotebookClient

TIMEOUT_S = 120

SET_UP = """
import threading
from pymonik import Pymonik, task
client = Pymonik().create()

@task
def simulate(mesh, dt):
    if mesh in (17, 88):
        raise ValueError(f"negative volume {mesh}")
    return mesh * dt

@task
def stay():
    threading.Event().wait()
"""


class ThisPython(AsyncKernelManager):  # type: ignore[misc]
    """A kernel of the interpreter that runs the tests, wherever kernels are installed."""

    @property
    def kernel_spec(self) -> Any:
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=command, display_name="this", language="python")


class ThisPythonHere(KernelManager):  # type: ignore[misc]
    """The same, for who sends cells one by one."""

    kernel_spec = ThisPython.kernel_spec


def outputs(folder: Path, *cells: str, allow_errors: bool = False) -> list[list[dict[str, Any]]]:
    """Run the cells; gives what the saved notebook has below each of them."""
    new: Any = nbformat.v4
    notebook = new.new_notebook(cells=[new.new_code_cell(cell) for cell in (SET_UP, *cells)])
    NotebookClient(
        notebook,
        timeout=TIMEOUT_S,
        allow_errors=allow_errors,
        kernel_manager_class=ThisPython,
        resources={"metadata": {"path": str(folder)}},
    ).execute()
    nbformat.validate(notebook)
    return [cell["outputs"] for cell in notebook["cells"][1:]]


def only(found: list[dict[str, Any]]) -> dict[str, str]:
    """The data of the one display, which is the only output."""
    (output,) = found
    assert output["output_type"] == "display_data"
    data: dict[str, str] = output["data"]
    return data


@pytest.mark.slow
def test_the_saved_notebook_has_the_end_of_what_was_shown(tmp_path: Path) -> None:
    shown, waited, _ = outputs(
        tmp_path,
        """
m = simulate.map_invoke([{"mesh": n, "dt": 0.5} for n in range(100)], label="mesh-study")
m
""",
        "errors = [error for error in m.exceptions() if error]",
        "client.close()",
    )
    data = only(shown)
    assert data["text/plain"] == "simulate · mesh-study   98/100 ok · 2 failed"
    assert data["text/html"].count("<i ") == 100
    assert 'title="17 failed · mesh=17, dt=0.5' in data["text/html"]
    assert waited == []


@pytest.mark.slow
def test_a_cell_that_waits_shows_what_it_waits_for(tmp_path: Path) -> None:
    (waited, again, _) = outputs(
        tmp_path,
        """
m = stay.map_invoke([()] * 3, chunk_size=1)
try:
    m.get(timeout=5)
except TimeoutError:
    pass
""",
        "assert len(m.running) > 0",
        "client.cancel()",
    )
    data = only(waited)
    assert data["text/plain"].startswith("stay   0/3 ok")
    # The end of the session was the last that happened to it.
    assert "3 cancelled" in data["text/plain"]
    assert again == []


def test_a_mistake_shows_few_lines(tmp_path: Path) -> None:
    mistakes = (
        "simulate.map_invoke([(1, 1), (17, 2)]).get()",
        "with Pymonik():\n    simulate.invoke(17, 2).get()",
        "simulate.invoke(17)",
        "simulate.map_invoke([[1, 2]])",
    )
    for mistake, found in zip(
        mistakes, outputs(tmp_path, *mistakes, allow_errors=True), strict=True
    ):
        error = found[-1]
        assert error["output_type"] == "error"
        shown = "\n".join(error["traceback"])
        assert len(shown.splitlines()) <= 20, (mistake, shown)


@pytest.mark.slow
def test_each_frame_shows_its_own_lines(tmp_path: Path) -> None:
    cell = """
def volume(x):
    return 1 / (x - 3)

@task
def two(x):
    y = volume(x)
    return y

two.invoke(3).get()
"""
    ((*_, error),) = outputs(tmp_path, cell, allow_errors=True)
    shown = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(error["traceback"]))
    assert "----> 6     y = volume(x)" in shown
    assert "----> 2     return 1 / (x - 3)" in shown


@pytest.mark.slow
def test_what_tasks_print_stands_below_the_cell_that_waits(tmp_path: Path) -> None:
    invoked, waited, again, _ = outputs(
        tmp_path,
        """
@task
def speak(n):
    import sys
    print("printed", n)
    print("an error", n, file=sys.stderr)
    return n

h = speak.map_invoke([17], label="talk")[0]
""",
        "value = h.get(60)",
        "text = h.logs()\ntext",
        "client.close()",
    )
    streams = {
        one["name"]: one["text"]
        for one in [*invoked, *waited]  # it may have come at once
        if one["output_type"] == "stream"
    }
    assert streams == {"stdout": "[speak 0] printed 17\n", "stderr": "[speak 0] an error 17\n"}
    assert again[0]["data"]["text/plain"] == repr("printed 17\nan error 17\n")


INTERRUPTED = """
import threading
from pymonik import LocalCluster, Pymonik, task
cluster = LocalCluster(workers=2)
cluster.start()
client = Pymonik(cluster, session="interrupted").create()

@task
def slow(n):
    threading.Event().wait(0.2)
    return n

m = slow.map_invoke(range(20), chunk_size=1)
"""


def ran(kernel: Any, code: str, *, interrupts: bool = False) -> str:
    """What a cell prints, or the error that it ends with; interrupted once it has printed."""
    kernel.execute(code)
    said = ""
    while True:
        message = kernel.get_iopub_msg(timeout=TIMEOUT_S)
        content = message["content"]
        if message["msg_type"] == "stream":
            said += content["text"]
            if interrupts and "waits" in said:
                kernel.parent.interrupt_kernel()
                interrupts = False
        elif message["msg_type"] == "error":
            said += content["ename"]
        elif message["msg_type"] == "status" and content["execution_state"] == "idle":
            return said


def test_an_interrupt_ends_the_cell_and_the_calls_go_on(tmp_path: Path) -> None:
    manager = ThisPythonHere()
    manager.start_kernel(cwd=str(tmp_path))
    kernel = manager.client()
    kernel.parent = manager
    kernel.start_channels()
    try:
        kernel.wait_for_ready(timeout=TIMEOUT_S)
        assert ran(kernel, INTERRUPTED) == ""
        waiting = "print('waits', flush=True); m.get()"
        assert ran(kernel, waiting, interrupts=True).endswith("KeyboardInterrupt")
        assert ran(kernel, "print(sum(m.get(timeout=60)))").strip().endswith("190")
        assert ran(kernel, "print(slow.invoke(3).get(timeout=60))").strip().endswith("3")
        assert ran(kernel, "client.close(); cluster.stop()") == ""
    finally:
        kernel.stop_channels()
        manager.shutdown_kernel(now=True)
