"""`concurrent.futures.ProcessPoolExecutor`: the floor, with nothing around it."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor

from benchmarks.peers.futures import FuturesPeer


class Adapter(FuturesPeer):
    """Starts by fork on Linux before Python 3.14, which nothing else here does."""

    def start(self, workers: int) -> None:
        self.pool = ProcessPoolExecutor(workers)
