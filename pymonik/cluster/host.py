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
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pymonik.cluster.announcement import Announcement, announce
from pymonik.cluster.control_plane import ControlPlane
from pymonik.cluster.dispatch import Dispatch
from pymonik.cluster.freed_memory import GivingBack
from pymonik.cluster.journal import Journal
from pymonik.cluster.locked_state import LockedState
from pymonik.cluster.pod_inventories import PodInventories
from pymonik.cluster.runners.live import Contributing
from pymonik.cluster.runners.slots import ExecutorSlot
from pymonik.cluster.state.rows import Partition
from pymonik.cluster.storage import Storage
from pymonik.environments.builds import Environments
from pymonik.errors import ConfigError
from pymonik.executor.live_log import LiveLog
from pymonik.executor.pool import FILES_OF_EXECUTOR, ExecutorPool
from pymonik.executor.process import GRACE_S, Place
from pymonik.executor.reports import LiveReports
from pymonik.launch import open_files, threads
from pymonik.launch.listening import answers

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pymonik.cluster.runners.foreign import ForeignSlot

logger = logging.getLogger(__name__)

SOCKET = "control_plane.sock"
DIRECT_SOCKET = "direct.sock"
_LOOK_S = 0.05  # seconds between two looks at whether `hurried` is set
# Open files and threads of gRPC and of this process, beside those of executors and one thread for
# each worker. They are tried before anything is started: gRPC ends the process where it lacks one.
FILES = 24
THREADS = 24
STOP_GRACE_S = 0.2  # seconds for requests that are being answered when the server stops


@dataclass(frozen=True, slots=True)
class ClusterConfig:
    """What a cluster consists of.

    Attributes:
        partitions: Number of workers by partition; the first is the default one.
        worker: Command of a foreign worker; ``None`` runs tasks of pymonik.
        port: Listen on this port of the loopback interface; ``None`` takes a unix socket.
        socket: Listen on this unix socket instead of the private one.
        inherit_output: Let foreign workers write to our standard error.
        memory_limit: Bytes that a task of pymonik may use; ``None`` without a limit.
        grace_s: Seconds from asking a task to end until it is killed.
        current_folder: Of tasks and foreign workers; ``None`` for one that was removed.
        is_isolated: Tasks of pymonik run in an empty folder of the cluster, and read no file of a
            program where the program has it.
        gpus: Names of GPUs, as ``CUDA_VISIBLE_DEVICES`` has them: one for each worker of pymonik.
        data_folder: Where sessions, results and tasks are kept, for another cluster to go on with
            when this one has ended; ``None`` keeps nothing.
    """

    partitions: Mapping[str, int]
    worker: Sequence[str] | None = None
    port: int | None = None
    socket: Path | None = None
    inherit_output: bool = field(default=False, kw_only=True)
    memory_limit: int | None = field(default=None, kw_only=True)
    grace_s: float = field(default=GRACE_S, kw_only=True)
    current_folder: str | None = field(default=None, kw_only=True)
    is_isolated: bool = field(default=False, kw_only=True)
    gpus: Sequence[str] = field(default=(), kw_only=True)
    data_folder: Path | None = field(default=None, kw_only=True)


def check_room(config: ClusterConfig) -> None:
    """Have the system grant what the cluster needs before anything is started that would lack it.

    Raises:
        ConfigError: There are too few threads or open files.
    """
    workers = sum(config.partitions.values())
    threads.check(THREADS + workers)
    open_files.raise_limit()
    open_files.check(FILES + FILES_OF_EXECUTOR * workers)


class EmbeddedCluster:
    """Everything that runs in the cluster's process.

    Args:
        config: What it consists of.
        folder: Its private folder; the caller removes it after `stop`.
    """

    def __init__(self, config: ClusterConfig, folder: Path) -> None:
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
        self._server: Any = None
        self._direct: Any = None
        self.direct_socket = folder / DIRECT_SOCKET
        self._pool: ExecutorPool | None = None
        self._slots: list[ForeignSlot | ExecutorSlot] = []
        self.endpoint = ""

    def start(self, stopping: threading.Event) -> None:
        """Listen, and start the workers; returns when they serve, or when `stopping` is set.

        Raises:
            ConfigError: The address is taken, or the workers cannot be started.
        """
        # The pool first: executors start in their own processes while this one imports gRPC.
        self._start_pool()
        self._memory.start()
        self._inventories.start()
        # Executors are starting: gRPC, the largest import, is loaded meanwhile.
        from pymonik.cluster.services.direct import DirectServer
        from pymonik.cluster.services.embedded import EmbeddedService
        from pymonik.cluster.services.server import add_services, make_server

        self._server = make_server(self._control)
        self.endpoint = self._listen()
        self._server.start()
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
        if self._pool is not None:
            self._pool.drain()
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
        if self._pool is not None:
            self._pool.close()
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
            return f"http://127.0.0.1:{self._bind(f'127.0.0.1:{config.port}')}"
        path = config.socket.absolute() if config.socket else self._folder / SOCKET
        if answers(path):
            raise ConfigError(f"cannot listen on {path}: another process does")
        self._bind(f"unix:{path}")
        # Between the two lines others may connect only if the folder lets them in, and the private
        # one does not: this is for a `socket` of the user's.
        path.chmod(0o600)
        return f"unix://{path}"

    def _bind(self, address: str) -> int:
        try:
            return int(self._server.add_insecure_port(address))
        except RuntimeError as error:  # all that gRPC says; it has logged why
            raise ConfigError(f"cannot listen on {address}: is it taken?") from error

    def _start_pool(self) -> None:
        if self._config.worker is None:
            size = sum(self._config.partitions.values())
            live = Contributing(self._dispatch)
            self._pool = ExecutorPool(
                folder=self._folder / "executors",
                size=size,
                memory_limit=self._config.memory_limit,
                grace_s=self._config.grace_s,
                place=self._place(),
                uses_originals=not self._config.is_isolated,
                gpus=self._config.gpus,
                on_output=LiveLog(live),
                on_report=LiveReports(live),
                read_board=live.read_board,
                environments=Environments(
                    is_wanted=self._dispatch.is_environment_wanted,
                    on_settled=self._dispatch.environment_settled,
                ),
            )
            self._pool.start()

    def _place(self) -> Place:
        """Where tasks of pymonik run."""
        if not self._config.is_isolated:
            return Place(self._config.current_folder or "")
        empty = self._folder / "current"
        empty.mkdir()
        return Place(str(empty), is_shared=False)

    def _make_slots(self) -> None:
        names = [name for name, count in self._config.partitions.items() for _ in range(count)]
        hostname = self._inventories.host
        for number, partition_id in enumerate(names):
            folder = self._folder / f"w{number}"
            self._slots.append(
                ExecutorSlot(self._dispatch, partition_id, self._pool, folder, hostname=hostname)
                if self._pool is not None
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
