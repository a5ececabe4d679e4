"""Where a client connects: to an endpoint, or to a cluster on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pymonik.errors import ConfigError
from pymonik.transport.config import ClusterConfig

if TYPE_CHECKING:
    from pymonik.client.wishes import Wishes
    from pymonik.cluster.local import LocalCluster


@dataclass(frozen=True, slots=True)
class Place:
    """Where to connect.

    Attributes:
        cluster: The one behind the endpoint, where this process has it in its hands.
        is_shared: It is the cluster of this process, which all its clients use.
    """

    config: ClusterConfig
    cluster: LocalCluster | None = None
    is_shared: bool = False


def find_place(wishes: Wishes) -> Place:
    """Where to connect; starts the cluster of this process if there is nothing else.

    Raises:
        ConfigError: The endpoint or a certificate cannot be used.
    """
    if (cluster := as_local_cluster(wishes.endpoint)) is not None:
        given = [name for name, value in wishes.certificates.items() if value is not None]
        if given:
            raise ConfigError(f"{', '.join(given)}: a cluster of this machine takes none")
        return Place(ClusterConfig(cluster.endpoint), cluster)
    # ``keep=True`` takes no endpoint, see `wishes.checked`.
    endpoint: Any = _kept_cluster() if wishes.keeps_cluster else wishes.endpoint
    config = ClusterConfig.find(endpoint, **wishes.certificates)
    if config is not None:
        return Place(config)
    cluster = _shared_cluster()
    return Place(ClusterConfig(cluster.endpoint), cluster, is_shared=True)


def as_local_cluster(endpoint: object) -> LocalCluster | None:
    """The endpoint, if it is a cluster that this process has started."""
    if endpoint is None or isinstance(endpoint, str):
        return None
    from pymonik.cluster.local import LocalCluster

    return endpoint if isinstance(endpoint, LocalCluster) else None


def _shared_cluster() -> LocalCluster:
    from pymonik.cluster.local import shared_local_cluster

    return shared_local_cluster()


def _kept_cluster() -> str:
    from pymonik.cluster import kept

    return kept.endpoint()
