"""dask's own tests of delayed calls, run with our scheduler; with ``bags`` those of bags as well.

    python -m tests.suites.dask_suite [bags] [PYTEST ARGS]

They run in a session on a cluster with two workers. Bags take some minutes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

# What is left out: the tests whose ids contain these words, and why.
LEFT_OUT = {
    "traverse_false": "expects the very object of the program, which no other process can give",
    "to_delayed_optimize_graph": "counts calls in the process of the program",
}
_SESSION = """
import dask
import pytest
from pymonik import LocalCluster, Pymonik
from pymonik.dask import get

@pytest.fixture(scope="session", autouse=True)
def session():
    with LocalCluster(workers=2) as cluster, Pymonik(cluster), dask.config.set(scheduler=get):
        yield
"""


def main(arguments: list[str]) -> int:
    """The exit code of pytest."""
    suites = ["dask.tests.test_delayed"]
    if arguments[:1] == ["bags"]:
        suites, arguments = [*suites, "dask.bag.tests.test_bag"], arguments[1:]
    left_out = " and ".join(f"not {name}" for name in LEFT_OUT)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "session_of_ours.py").write_text(_SESSION, encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "-W", "ignore", "-p", "session_of_ours"]
        command += ["-k", left_out, *arguments, "--pyargs", *suites]
        variables = {**os.environ, "PYTHONPATH": folder}
        return subprocess.run(command, cwd=folder, env=variables, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
