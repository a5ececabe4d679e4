"""Builds an embedded cluster inside this process, and takes it down again.

::

    server (gRPC, direct) ─► ControlPlane ─► LockedState ◄─ Dispatch ◄─ slots ─► workers, executors

Started by ``python -m pymonik.cluster`` (behind `LocalCluster`) and by ``pymonik cluster``.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING, Any

from pymonik.cluster.announcement import Announcement, announce
from pymonik.cluster.control_plane import ControlPlane
from pymonik.cluster.dispatch import Dispatch
from pymonik.cluster.executors import Executors
from pymonik.cluster.freed_memory import GivingBack
from pymonik.cluster.journal import Journal
from pymonik.cluster.locked_state import LockedState
from pymonik.cluster.pod_inventories import PodInventories
from pymonik.cluster.runners.slots import ExecutorSlot
from pymonik.cluster.state.rows import Partition
from pymonik.cluster.storage import Storage
from pymonik.errors import ConfigError
from pymonik.launch.listening import answers

if TYPE_CHECKING:
    import threading
    from pathlib import Path

    from pymonik.cluster.runners.foreign import ForeignSlot
    from pymonik.cluster.services.until_asked import UntilAsked
    from pymonik.cluster.shape import ClusterConfig

logger = logging.getLogger(__name__)

SOCKET = "control_plane.sock"
DIRECT_SOCKET = "direct.sock"
_LOOK_S = 0.05  # seconds between two looks at whether `hurried` is set
STOP_GRACE_S = 0.2  # seconds for requests that are being answered when the server stops


class EmbeddedCluster:
    """Everything that runs in the cluster's process.

    Args:
        config: What it consists of.
        folder: Its private folder; the caller removes it after `stop`.
        executors: Those that are starting already; without them it starts its own.
    """

    def __init__(
        self, config: ClusterConfig, folder: Path, executors: Executors | None = None
    ) -> None:
        self._config = config
        self._folder = folder
        self.storage_folder = (config.data_folder or folder).absolute() / "objects"
        # The journal takes the lock of the data folder, so it is made before anything in it is
        # touched. It reads small objects of a storage that is made after it, and not before
        # `LockedState` is.
        self._journal = None
        if config.data_folder is not None:
            self._journal = Journal(config.data_folder.absolute(), lambda one: storage.held(one))
        storage = Storage(self.storage_folder)
        self.default_partition = next(iter(config.partitions))
        self._memory = GivingBack()
        self._inventories = PodInventories(
            config.partitions, runs_ours=config.worker is None, gpus=config.gpus
        )
        self._state = LockedState(
            [
                Partition(name, pod_max=count, pod_configuration=self._inventories.pods(name))
                for name, count in config.partitions.items()
            ],
            storage,
            default_partition=self.default_partition,
            on_shrunk=self._memory.ask,
            journal=self._journal,
        )
        self._control = ControlPlane(self._state, storage)
        self._dispatch = Dispatch(self._state, storage)
        self._server: Any = None  # of gRPC; also made by the thread of the public socket
        self._public: UntilAsked | None = None
        self._direct: Any = None
        self.direct_socket = folder / DIRECT_SOCKET
        if executors is None and config.worker is None:
            executors = Executors(config, folder)
        self._executors = executors
        self._slots: list[ForeignSlot | ExecutorSlot] = []
        self.endpoint = ""

    def start(self, stopping: threading.Event) -> None:
        """Listen, and start the workers; returns when they serve, or when `stopping` is set.

        Raises:
            ConfigError: The address is taken, or the workers cannot be started.
        """
        if self._executors is not None:
            self._executors.belong_to(self._dispatch)
            self._executors.start()
        self._memory.start()
        self._inventories.start()
        # Executors are starting: what asks for tasks and tells of them is loaded meanwhile.
        from pymonik.cluster.services.direct import DirectServer
        from pymonik.cluster.services.embedded import EmbeddedService
        from pymonik.cluster.services.public_api import add_services

        self.endpoint = self._listen()
        self._direct = DirectServer()
        add_services(self._control, self._direct)
        self._direct.add_generic_rpc_handlers((EmbeddedService(self._control),))
        self._direct.start(self.direct_socket)
        self._make_slots()
        for slot in self._slots:
            slot.start()
        for slot in self._slots:
            _wait_ready(slot, stopping)
        # Last: other programs take what is announced for a cluster that serves.
        announce(
            self._folder,
            Announcement(
                endpoint=self.endpoint,
                pid=os.getpid(),
                partitions=dict(self._config.partitions),
                started=time.time(),
            ),
        )

    def drain(self, timeout_s: float, hurried: threading.Event) -> int:
        """Let running tasks end, and cancel the others; how many still run when that is over.

        With a data folder the others stay pending.

        Args:
            timeout_s: Seconds to wait for them.
            hurried: Set by another thread when nobody wants to wait any longer.
        """
        self._state.drain()
        if self._executors is not None:
            self._executors.pool.drain()
        end = time.monotonic() + timeout_s
        for slot in self._slots:
            while not slot.join(_LOOK_S) and time.monotonic() < end and not hurried.is_set():
                pass
        self._state.drain()  # cancels tasks that running ones have submitted meanwhile
        return self._state.count_running()

    def linger(self, most_s: float, hurried: threading.Event) -> None:
        """Wait until no client listens, at most so long: values are read when news have come."""
        end = time.monotonic() + most_s
        while self._state.has_listeners() and time.monotonic() < end:
            if hurried.wait(_LOOK_S):
                return

    def stop(self) -> None:
        """Stop everything that `start` started, also after a start that failed."""
        # In this order. The closed state ends streams of events and runners that wait for a task,
        # without which the server's threads and the slots' would not end; the pool ends those that
        # run one.
        self._state.close()
        for slot in self._slots:
            slot.stop()
        if self._executors is not None:
            self._executors.pool.close()
        if self._public is not None:
            self._public.stop()
        if self._server is not None:
            self._server.stop(STOP_GRACE_S).wait()
        if self._direct is not None:
            self._direct.stop()
        for slot in self._slots:
            slot.join()
        self._memory.stop()
        # After all who might still change the state.
        if self._journal is not None:
            self._journal.close()

    def _listen(self) -> str:
        config = self._config
        if config.port is not None:
            return f"http://127.0.0.1:{self._serve(f'127.0.0.1:{config.port}')}"
        path = config.socket.absolute() if config.socket else self._folder / SOCKET
        if config.socket is None and config.worker is None:
            # In our own folder nothing can be in the way, so that gRPC can wait until it is needed.
            from pymonik.cluster.services.until_asked import UntilAsked

            self._public = UntilAsked(path, lambda beside: self._serve(f"unix:{beside}"))
            self._public.start()
            return f"unix://{path}"
        if answers(path):
            raise ConfigError(f"cannot listen on {path}: another process does")
        self._serve(f"unix:{path}")
        # Between the two lines others may connect only if the folder lets them in, and the private
        # one does not: this is for a `socket` of the user's.
        path.chmod(0o600)
        return f"unix://{path}"

    def _serve(self, address: str) -> int:
        """Serve the public API over gRPC; the port, if it is one."""
        from pymonik.cluster.services.server import make_server

        self._server = make_server(self._control)
        try:
            port = int(self._server.add_insecure_port(address))
        except RuntimeError as error:  # all that gRPC says; it has logged why
            raise ConfigError(f"cannot listen on {address}: is it taken?") from error
        self._server.start()
        return port

    def _make_slots(self) -> None:
        names = [name for name, count in self._config.partitions.items() for _ in range(count)]
        hostname = self._inventories.host
        for number, partition_id in enumerate(names):
            folder = self._folder / f"w{number}"
            self._slots.append(
                ExecutorSlot(
                    self._dispatch, partition_id, self._executors.pool, folder, hostname=hostname
                )
                if self._executors is not None
                else self._foreign_slot(partition_id, folder, hostname)
            )

    def _foreign_slot(self, partition_id: str, folder: Path, hostname: str) -> ForeignSlot:
        from pymonik.cluster.runners.foreign import ForeignSlot

        return ForeignSlot(
            self._dispatch,
            partition_id,
            self._config.worker or (),
            folder,
            hostname=hostname,
            current_folder=self._config.current_folder or "",
            inherit_output=self._config.inherit_output,
        )


def _wait_ready(slot: ForeignSlot | ExecutorSlot, stopping: threading.Event) -> None:
    while not stopping.is_set():
        with contextlib.suppress(FutureTimeoutError, CancelledError):
            slot.ready.result(timeout=0.05)
            return
