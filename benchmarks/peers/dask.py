"""Dask distributed on one machine: one thread a worker process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import distributed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_PARTS = 100  # of a bag: what the documentation advises for small items


class Adapter:
    """Takes futures as arguments."""

    def __init__(self) -> None:
        self._cluster: Any = None
        self._client: Any = None

    def start(self, workers: int) -> None:
        self._cluster = distributed.LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None
        )
        self._client = distributed.Client(self._cluster)

    def submit(self, function: Callable[..., Any], *args: Any) -> Any:
        return self._client.submit(function, *args, pure=False)

    def map(self, function: Callable[..., Any], items: Sequence[Any]) -> Sequence[Any]:
        handles: Sequence[Any] = self._client.map(function, items, pure=False)
        return handles

    def map_chunks(self, function: Callable[..., Any], items: Sequence[Any]) -> Sequence[Any]:
        import dask.bag

        bag = dask.bag.from_sequence(items, npartitions=_PARTS)
        return list(bag.map(function).compute(scheduler=self._client))

    def gather(self, handles: Sequence[Any]) -> list[Any]:
        return list(self._client.gather(handles))

    def put(self, value: Any) -> Any:
        return self._client.scatter(value, hash=False)

    def get(self, handle: Any) -> Any:
        return handle.result()

    def stop(self) -> None:
        self._client.close()
        self._cluster.close()
