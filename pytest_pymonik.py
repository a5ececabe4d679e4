"""Fixtures of pymonik for pytest, which finds them wherever pymonik is installed.

The module lies beside the package, not in it: pytest imports it at each start, in all projects,
and the package would cost it a tenth of a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymonik import LocalCluster, Pymonik


@pytest.fixture(scope="session")
def pymonik_cluster() -> Iterator[LocalCluster]:
    """An embedded cluster for all tests, with a worker for each processor.

    A fixture of the same name in your ``conftest.py`` replaces it.
    """
    from pymonik import LocalCluster

    with LocalCluster() as cluster:
        yield cluster


@pytest.fixture
def pymonik_session(pymonik_cluster: LocalCluster) -> Iterator[Pymonik]:
    """A client with a session of the test's own, which tasks of the test use."""
    from pymonik import Pymonik

    with Pymonik(pymonik_cluster) as client:
        yield client
