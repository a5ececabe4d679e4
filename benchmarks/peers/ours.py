"""pymonik on its embedded cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymonik import LocalCluster, MultiResultHandle, Pymonik, Task

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Adapter:
    """The defaults of the package, and a number of workers."""

    def __init__(self) -> None:
        self._tasks: dict[Any, Task[..., Any]] = {}
        self._cluster: LocalCluster | None = None
        self._client: Pymonik | None = None

    def start(self, workers: int) -> None:
        self._cluster = LocalCluster(workers).start()
        self._client = self.connect(self._cluster)

    def connect(self, cluster: LocalCluster) -> Pymonik:
        """Open a client as a program on this machine has it."""
        return Pymonik(cluster).create()

    @property
    def client(self) -> Pymonik:
        if self._client is None:
            raise RuntimeError("not started")
        return self._client

    def submit(self, function: Callable[..., Any], *args: Any) -> Any:
        return self._task(function).invoke(*args)

    def map(self, function: Callable[..., Any], items: Sequence[Any]) -> Sequence[Any]:
        return self._task(function).map_invoke(items)

    def map_chunks(self, function: Callable[..., Any], items: Sequence[Any]) -> Sequence[Any]:
        return self._task(function).map_invoke(items).get()

    def gather(self, handles: Sequence[Any]) -> list[Any]:
        return MultiResultHandle(handles).get()

    def put(self, value: Any) -> Any:
        return self.client.put(value)

    def get(self, handle: Any) -> Any:
        return handle.get()

    def stop(self) -> None:
        if self._client is not None:
            self._client.close()
        if self._cluster is not None:
            self._cluster.stop()

    def _task(self, function: Callable[..., Any]) -> Task[..., Any]:
        if function not in self._tasks:
            self._tasks[function] = Task(function)
        return self._tasks[function]
