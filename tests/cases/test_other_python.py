"""A program and its workers with different minor versions of Python.

The other Python has to have pymonik installed: ``PYMONIK_OTHER_PYTHON`` names it, else one of
those is taken that `.ci/matrix` has made.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
LIMIT_S = 150
VERSION = "import pymonik.worker, sys; print('%d.%d' % sys.version_info[:2])"


def _other_python() -> str | None:
    made = sorted(HERE.parents[1].glob(".matrix/*/bin/python"))
    for python in filter(None, (os.environ.get("PYMONIK_OTHER_PYTHON"), *map(str, made))):
        done = subprocess.run([python, "-c", VERSION], capture_output=True, text=True, check=False)
        if not done.returncode and done.stdout.strip() != "{}.{}".format(*sys.version_info[:2]):
            return python
    return None


@pytest.mark.slow
def test_modules_run_on_another_python_and_code_by_value_is_refused(tmp_path: Path) -> None:
    other = _other_python()
    if other is None:
        pytest.skip("no other Python with pymonik is here")
    folder = tmp_path / "program"
    shutil.copytree(HERE / "other_python", folder, ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run(
        [sys.executable, "main.py", other],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout
