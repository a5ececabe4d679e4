"""executorlib on one machine, its workers kept between calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import executorlib

from benchmarks.peer import UnsupportedError
from benchmarks.peers.futures import FuturesPeer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Adapter(FuturesPeer):
    """Takes futures as arguments."""

    def start(self, workers: int) -> None:
        self.pool = executorlib.SingleNodeExecutor(max_workers=workers, block_allocation=True)

    def submit(self, function: Callable[..., Any], *args: Any) -> Any:
        return self.pool.submit(function, *args)

    def map_chunks(self, function: Callable[..., Any], items: Sequence[Any]) -> Sequence[Any]:
        raise UnsupportedError("no chunks")
