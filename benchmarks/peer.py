"""What a workload asks of a peer; one adapter each in `benchmarks.peers`."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class UnsupportedError(Exception):
    """The peer has no such thing; the text says what is missing."""


class Peer(Protocol):
    """A way to run Python functions in parallel.

    Handles are whatever the peer has; they can be arguments of `submit` directly, not nested.
    Where a peer cannot take them, its adapter waits in the client, as its user would.
    """

    def start(self, workers: int) -> None:
        """Everything between the import and the first call."""

    def submit(self, function: Callable[..., Any], *args: Any) -> Any:
        """One call; its handle."""

    def map(self, function: Callable[..., Any], items: Sequence[Any]) -> Sequence[Any]:
        """One call for each item, as the peer does it by default; their handles."""

    def map_chunks(self, function: Callable[..., Any], items: Sequence[Any]) -> Sequence[Any]:
        """The values for all items, many items to a task."""

    def gather(self, handles: Sequence[Any]) -> list[Any]:
        """The values of handles."""

    def put(self, value: Any) -> Any:
        """Store a value once, for many calls; its handle."""

    def get(self, handle: Any) -> Any:
        """The value of a handle."""

    def stop(self) -> None:
        """End all that `start` began."""


@dataclass(frozen=True, slots=True)
class Entry:
    """How a peer is found.

    Attributes:
        module: Of `benchmarks.peers`; its class `Adapter` is the peer.
        package: What must be installed; empty for what comes with Python.
        label: How tables call it.
        default: Whether it runs when no peers are named.
    """

    module: str
    package: str
    label: str
    default: bool = True

    @property
    def is_installed(self) -> bool:
        return not self.package or importlib.util.find_spec(self.package) is not None

    @property
    def version(self) -> str:
        return importlib.metadata.version(self.package) if self.package else ""

    def load(self) -> Peer:
        peer: Peer = importlib.import_module(f"benchmarks.peers.{self.module}").Adapter()
        return peer


PEERS = {
    "pymonik": Entry("ours", "pymonik", "pymonik"),
    "process_pool": Entry("process_pool", "", "ProcessPoolExecutor"),
    "loky": Entry("loky", "loky", "loky"),
    "ray": Entry("ray", "ray", "Ray"),
    "dask": Entry("dask", "distributed", "Dask"),
    "parsl": Entry("parsl", "parsl", "Parsl"),
    "executorlib": Entry("executorlib", "executorlib", "executorlib"),
    "pymonik_grpc": Entry("ours_grpc", "pymonik", "pymonik, gRPC only", default=False),
    "pymonik_remote": Entry("ours_remote", "pymonik", "pymonik, costs of ArmoniK", default=False),
}
