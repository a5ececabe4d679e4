"""pymonik on what costs what a real ArmoniK costs; see `benchmarks.remote`."""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks.peers import ours
from benchmarks.remote import remote_cluster
from pymonik import Pymonik


class Adapter(ours.Adapter):
    """The proxy and the slow workers in front of an embedded cluster."""

    def __init__(self) -> None:
        super().__init__()
        self._opened = ExitStack()

    def start(self, workers: int) -> None:
        endpoint = self._opened.enter_context(remote_cluster(workers))
        self._client = Pymonik(endpoint, direct=False).create()

    def stop(self) -> None:
        super().stop()
        self._opened.close()
