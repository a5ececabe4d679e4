"""What `import pymonik` brings, and what it leaves until it is needed."""

from __future__ import annotations

import subprocess
import sys

import pymonik


def test_importing_pymonik_does_not_import_grpc():
    code = "import sys, pymonik; print('grpc' in sys.modules, 'armonik' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_all_names_are_listed():
    assert set(pymonik.__all__) <= set(dir(pymonik))
    assert not hasattr(pymonik, "nothing")
