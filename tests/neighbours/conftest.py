"""A cluster for the tests of what other libraries see of pymonik."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pymonik import LocalCluster, Pymonik

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(workers=2) as cluster:
        yield cluster


@pytest.fixture
def client(cluster: LocalCluster) -> Iterator[Pymonik]:
    with Pymonik(cluster) as client:
        yield client
