"""Parsl's HighThroughputExecutor on one machine."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any

import parsl
from parsl.executors import HighThroughputExecutor
from parsl.providers import LocalProvider

from benchmarks.peer import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Adapter:
    """Takes futures as arguments."""

    def __init__(self) -> None:
        self._apps: dict[Any, Any] = {}
        self._folder = tempfile.TemporaryDirectory(prefix="bench-parsl-")

    def start(self, workers: int) -> None:
        executor = HighThroughputExecutor(
            label="bench",
            address="127.0.0.1",
            max_workers_per_node=workers,
            cores_per_worker=0.01,
            provider=LocalProvider(init_blocks=1, min_blocks=1, max_blocks=1),
        )
        config = parsl.Config(
            executors=[executor], run_dir=self._folder.name, initialize_logging=False
        )
        parsl.load(config)

    def submit(self, function: Callable[..., Any], *args: Any) -> Any:
        return self._app(function)(*args)

    def map(self, function: Callable[..., Any], items: Sequence[Any]) -> Sequence[Any]:
        app = self._app(function)
        return [app(item) for item in items]

    def map_chunks(self, function: Callable[..., Any], items: Sequence[Any]) -> Sequence[Any]:
        raise UnsupportedError("no chunks")

    def gather(self, handles: Sequence[Any]) -> list[Any]:
        return [handle.result() for handle in handles]

    def put(self, value: Any) -> Any:
        raise UnsupportedError("no store of values")

    def get(self, handle: Any) -> Any:
        return handle.result()

    def stop(self) -> None:
        parsl.dfk().cleanup()
        parsl.clear()
        self._folder.cleanup()

    def _app(self, function: Callable[..., Any]) -> Any:
        if function not in self._apps:
            self._apps[function] = parsl.python_app(function)
        return self._apps[function]
