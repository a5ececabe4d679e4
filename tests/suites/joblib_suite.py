"""joblib's own tests of its backends, run for ours.

    python -m tests.suites.joblib_suite [PYTEST ARGS]

The tests that joblib ships are copied with ``"pymonik"`` where they list the backends that use
processes, and run in a session on a cluster with two workers.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import joblib.test

# What is left out: the tests whose ids contain these words, and why.
LEFT_OUT = {
    "memmap": "joblib's own files of arrays, which we have no use for",
    "batch_statistics": "reads private attributes of joblib's own way to choose batches",
    "initializer": "needs the key of a multiprocessing.Manager, which only its children inherit",
    "dispatch_multiprocessing": "the same",
    "error_capture": "expects KeyboardInterrupt of a task as such; we say TaskFailedError from it",
    "nested_backend_in_sequential": "expects one worker by default; ours is all of the cluster",
    "interactively_defined": "its script names the backend without registering it",
    "unpicklable_functions": "the same",
    "multiprocessing-pymonik": "a session does not survive a fork",
    "loky-pymonik": "a process of joblib's has no session, and does not register our backend",
    "back_compat_backend": "is registered in the process of the tests only",
}
_LISTS = 'PROCESS_BACKENDS = ["multiprocessing", "loky"]'
_CONFTEST = """
import pytest
from pymonik import LocalCluster, Pymonik

@pytest.fixture(scope="session", autouse=True)
def session():
    with LocalCluster(workers=2) as cluster, Pymonik(cluster):
        yield
"""


def main(arguments: list[str]) -> int:
    """The exit code of pytest."""
    source = Path(joblib.test.__file__).with_name("test_parallel.py").read_text(encoding="utf-8")
    if _LISTS not in source:
        raise SystemExit("joblib's tests list their backends in another way than this script knows")
    source = source.replace(_LISTS, 'PROCESS_BACKENDS = ["pymonik"]').replace(
        "RETURN_GENERATOR_BACKENDS = ",
        "import pymonik.joblib\npymonik.joblib.register()\nRETURN_GENERATOR_BACKENDS = ",
        1,
    )
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "test_parallel.py").write_text(source, encoding="utf-8")
        Path(folder, "conftest.py").write_text(_CONFTEST, encoding="utf-8")
        Path(folder, "pytest.ini").write_text(
            "[pytest]\nmarkers = thread_unsafe\n", encoding="utf-8"
        )
        left_out = " and ".join(f"not {name}" for name in LEFT_OUT)
        command = [sys.executable, "-m", "pytest", "-q", "-k", f"pymonik and {left_out}"]
        return subprocess.run([*command, *arguments], cwd=folder, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
