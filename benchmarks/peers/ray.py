"""Ray on one machine, without its dashboard."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import ray

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_CHUNK = 250


class Adapter:
    """Takes references as arguments."""

    def __init__(self) -> None:
        self._functions: dict[Any, Any] = {}
        self._workers = 0
        self._pool: Any = None

    def start(self, workers: int) -> None:
        self._workers = workers
        ray.init(
            num_cpus=workers, include_dashboard=False, log_to_driver=False, logging_level="ERROR"
        )

    def submit(self, function: Callable[..., Any], *args: Any) -> Any:
        return self._remote(function).remote(*args)

    def map(self, function: Callable[..., Any], items: Sequence[Any]) -> Sequence[Any]:
        remote = self._remote(function)
        return [remote.remote(item) for item in items]

    def map_chunks(self, function: Callable[..., Any], items: Sequence[Any]) -> Sequence[Any]:
        from ray.util.multiprocessing import Pool

        if self._pool is None:
            self._pool = Pool(self._workers)
        return list(self._pool.map(function, items, chunksize=_CHUNK))

    def gather(self, handles: Sequence[Any]) -> list[Any]:
        return list(ray.get(list(handles)))

    def put(self, value: Any) -> Any:
        return ray.put(value)

    def get(self, handle: Any) -> Any:
        return ray.get(handle)

    def stop(self) -> None:
        if self._pool is not None:
            self._pool.terminate()
        ray.shutdown()

    def _remote(self, function: Callable[..., Any]) -> Any:
        if function not in self._functions:
            self._functions[function] = ray.remote(function)
        return self._functions[function]
