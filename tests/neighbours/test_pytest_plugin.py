"""The fixtures that pytest finds where pymonik is installed."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run_pytest(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_program.py").write_text(textwrap.dedent(text))
    (folder / "pytest.ini").write_text("[pytest]\n")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "pytest_pymonik", "-p", "no:cacheprovider"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_test_has_a_session_of_its_own_on_one_cluster(tmp_path: Path):
    done = run_pytest(
        tmp_path,
        """
        from pymonik import task

        @task
        def double(x):
            return 2 * x

        seen = []

        def test_first(pymonik_session, pymonik_cluster):
            seen.append((pymonik_session.session_id, pymonik_cluster.pid))
            assert double.invoke(21).get() == 42

        def test_second(pymonik_session, pymonik_cluster):
            seen.append((pymonik_session.session_id, pymonik_cluster.pid))
            assert seen[0][0] != seen[1][0] and seen[0][1] == seen[1][1]
        """,
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_tests_that_do_not_use_pymonik_do_not_import_it(tmp_path: Path):
    done = run_pytest(
        tmp_path,
        """
        import sys

        def test_nothing():
            assert "pytest_pymonik" in sys.modules
            assert not [name for name in sys.modules if name.partition(".")[0] == "pymonik"]
        """,
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_a_project_may_have_a_cluster_of_its_own(tmp_path: Path):
    (tmp_path / "conftest.py").write_text(
        textwrap.dedent(
            """
            import pytest
            from pymonik import LocalCluster

            @pytest.fixture(scope="session")
            def pymonik_cluster():
                with LocalCluster(workers=1) as cluster:
                    yield cluster
            """
        )
    )
    done = run_pytest(
        tmp_path,
        """
        def test_it(pymonik_session, pymonik_cluster):
            assert pymonik_cluster.partitions == {"pymonik": 1}
        """,
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr
