"""What a cluster consists of, and whether the system has room for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pymonik.executor.pool import FILES_OF_EXECUTOR
from pymonik.executor.process import GRACE_S
from pymonik.launch import open_files, threads

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

# Open files and threads of gRPC and of this process, beside those of executors and one thread for
# each worker. They are tried before anything is started: gRPC ends the process where it lacks one.
FILES = 24
THREADS = 24


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
