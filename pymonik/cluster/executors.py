"""The executors of a cluster, which start before the cluster that they are for is loaded.

An executor takes as long to start as the rest of the cluster takes to be imported. So nothing that
is imported here knows the tables, the services or gRPC; what executors tell while they run calls
finds the cluster once that is there, which is before there is a call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymonik.cluster.runners.live import Contributing
from pymonik.executor.live_log import LiveLog
from pymonik.executor.pool import ExecutorPool
from pymonik.executor.process import Place
from pymonik.executor.reports import LiveReports

if TYPE_CHECKING:
    from pathlib import Path

    from pymonik.cluster.dispatch import Dispatch
    from pymonik.cluster.shape import ClusterConfig
    from pymonik.environments.builds import Environments


class Executors:
    """A pool as large as a cluster has workers.

    Args:
        config: Of the cluster, whose workers are ours.
        folder: Of the cluster.

    Attributes:
        pool: Of the executors; whoever starts them closes it.
    """

    def __init__(self, config: ClusterConfig, folder: Path) -> None:
        self._live = Contributing()
        self._dispatch: Dispatch | None = None
        self.pool = ExecutorPool(
            folder=folder / "executors",
            size=sum(config.partitions.values()),
            memory_limit=config.memory_limit,
            grace_s=config.grace_s,
            place=_place(config, folder),
            uses_originals=not config.is_isolated,
            gpus=config.gpus,
            on_output=LiveLog(self._live),
            on_report=LiveReports(self._live),
            read_board=self._live.read_board,
            environments=self._environments,
        )

    def start(self) -> None:
        """Start them, unless they have been started; returns before they are up."""
        self.pool.start()

    def belong_to(self, dispatch: Dispatch) -> None:
        """Tell this cluster, from now on, what calls print, report and need."""
        self._dispatch = dispatch
        self._live.belong_to(dispatch)

    def _environments(self) -> Environments:
        from pymonik.environments.builds import Environments  # called when executors are starting

        return Environments(is_wanted=self._is_wanted, on_settled=self._settled)

    def _is_wanted(self, packages_id: str) -> bool:
        return self._dispatch is not None and self._dispatch.is_environment_wanted(packages_id)

    def _settled(self, packages_id: str) -> None:
        if self._dispatch is not None:
            self._dispatch.environment_settled(packages_id)


def _place(config: ClusterConfig, folder: Path) -> Place:
    """Where tasks run."""
    if not config.is_isolated:
        return Place(config.current_folder or "")
    empty = folder / "current"
    empty.mkdir()
    return Place(str(empty), is_shared=False)
