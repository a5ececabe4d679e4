"""pymonik with all data through gRPC, as on a remote ArmoniK."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.peers import ours
from pymonik import Pymonik

if TYPE_CHECKING:
    from pymonik import LocalCluster


class Adapter(ours.Adapter):
    """No folder is shared with the cluster."""

    def connect(self, cluster: LocalCluster) -> Pymonik:
        return Pymonik(cluster.endpoint, direct=False).create()
