"""One cluster for each way that a call can be run: both must behave alike."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from pymonik import Pymonik
from pymonik.cluster.local import LocalCluster

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session", params=["executors", "armonik worker"])
def cluster(request: pytest.FixtureRequest) -> Iterator[LocalCluster]:
    """The embedded cluster: with its own executors, or with our ArmoniK worker behind gRPC."""
    if request.param == "executors":
        started = LocalCluster(workers=2)
    else:
        started = LocalCluster(worker=[sys.executable, "-m", "pymonik.worker"], workers=2)
    with started:
        yield started


@pytest.fixture
def client(cluster: LocalCluster, request: pytest.FixtureRequest) -> Iterator[Pymonik]:
    """As a program has it: with its own cluster, or with an ArmoniK that is somewhere else."""
    is_own = request.node.callspec.params["cluster"] == "executors"
    with Pymonik(cluster if is_own else cluster.endpoint) as client:
        yield client
