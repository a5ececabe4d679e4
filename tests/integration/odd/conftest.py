"""Clients that reach an embedded cluster through a network and a control plane that are odd."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from pymonik import LocalCluster, Pymonik
from tests.odd_plane.network import Network
from tests.odd_plane.plane import Oddities, Plane


@dataclass
class Far:
    """A client, and what stands between it and its cluster."""

    client: Pymonik
    network: Network
    plane: Plane


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(workers=2) as one:
        yield one


@pytest.fixture
def far(cluster: LocalCluster) -> Iterator[Callable[..., Far]]:
    """Makes a client that is far away, with what is given for its network and its plane."""
    with ExitStack() as opened:

        def make(
            *,
            oddities: Oddities | None = None,
            delay_s: float = 0.0,
            cut_every_s: float = 0.0,
            **settings: Any,
        ) -> Far:
            plane = opened.enter_context(Plane(cluster.endpoint, oddities or Oddities()))
            network = opened.enter_context(
                Network(plane.endpoint, delay_s=delay_s, cut_every_s=cut_every_s)
            )
            client = opened.enter_context(Pymonik(network.endpoint, **settings))
            return Far(client, network, plane)

        yield make
