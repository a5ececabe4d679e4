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

# What is run: how calls, and the configuration around them, reach workers (the whole first module)
# and of estimators the tests of what `n_jobs` does to them. The other ten thousand tests of the
# package run nothing in parallel.
MODULES = (
    "sklearn.utils.tests.test_parallel",
    "sklearn.cluster.tests.test_mean_shift",
    "sklearn.decomposition.tests.test_dict_learning",
    "sklearn.ensemble.tests.test_bagging",
    "sklearn.ensemble.tests.test_forest",
    "sklearn.ensemble.tests.test_iforest",
    "sklearn.ensemble.tests.test_voting",
    "sklearn.feature_selection.tests.test_rfe",
    "sklearn.inspection.tests.test_permutation_importance",
    "sklearn.linear_model.tests.test_coordinate_descent",
    "sklearn.linear_model.tests.test_logistic",
    "sklearn.model_selection.tests.test_search",
    "sklearn.model_selection.tests.test_validation",
    "sklearn.neighbors.tests.test_neighbors",
    "sklearn.tests.test_multiclass",
    "sklearn.tests.test_multioutput",
    "sklearn.tests.test_pipeline",
)
WORDS = "n_jobs or parallel"  # in the names of tests, or of their module
# What is left out: the tests whose ids contain these words, and why.
LEFT_OUT = {
    "multiprocessing": "a session does not survive a fork",
    "loky": "names joblib's own backend",
    "delayed_warnings": "expects in the program a warning of a task; ours is printed there",
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
    """The exit code of pytest."""
    chosen = " and ".join([f"({WORDS})", *(f"not {name}" for name in LEFT_OUT)])
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "session_of_ours.py").write_text(_SESSION, encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "-W", "ignore", "-p", "session_of_ours"]
        command += ["-k", chosen, *arguments, "--pyargs", *MODULES]
        variables = {**os.environ, "PYTHONPATH": folder}
        return subprocess.run(command, cwd=folder, env=variables, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
