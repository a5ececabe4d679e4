"""loky: the process pool of joblib."""

from __future__ import annotations

import loky

from benchmarks.peers.futures import FuturesPeer


class Adapter(FuturesPeer):
    """Workers stay for the whole run."""

    def start(self, workers: int) -> None:
        self.pool = loky.ProcessPoolExecutor(workers)
