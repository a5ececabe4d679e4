"""What peers with the interface of `concurrent.futures` share."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from benchmarks.peer import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class FuturesPeer:
    """An executor in `pool`; it does not take futures as arguments: the client waits."""

    chunk_size = 250

    def __init__(self) -> None:
        self.pool: Any = None

    def start(self, workers: int) -> None:
        raise NotImplementedError

    def submit(self, function: Callable[..., Any], *args: Any) -> Any:
        return self.pool.submit(function, *map(_value, args))

    def map(self, function: Callable[..., Any], items: Sequence[Any]) -> Sequence[Any]:
        return [self.pool.submit(function, item) for item in items]

    def map_chunks(self, function: Callable[..., Any], items: Sequence[Any]) -> Sequence[Any]:
        return list(self.pool.map(function, items, chunksize=self.chunk_size))

    def gather(self, handles: Sequence[Any]) -> list[Any]:
        return [handle.result() for handle in handles]

    def put(self, value: Any) -> Any:
        raise UnsupportedError("no store of values")

    def get(self, handle: Any) -> Any:
        return handle.result()

    def stop(self) -> None:
        self.pool.shutdown()


def _value(argument: Any) -> Any:
    return argument.result() if isinstance(argument, Future) else argument
