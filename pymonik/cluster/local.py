"""`LocalCluster`: an embedded cluster in a process of its own, bound to the life of this one."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import selectors
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pymonik.cluster.folder import remove
from pymonik.errors import ConfigError, UnavailableError, UsageError
from pymonik.quantities import whole_number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

DEFAULT_PARTITION = "pymonik"
_MOST_WORKERS = 100_000
START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 20.0
_running: weakref.WeakSet[LocalCluster] = weakref.WeakSet()


class LocalCluster:
    """An ArmoniK control plane and its workers on this machine, in one private process tree.

    It ends with `stop`, with the block of a ``with``, or with this process, however that ends.

    Args:
        workers: Number of workers of the only partition; by default one per processor.
        partitions: Number of workers by partition; the first one is the default partition.
        worker: Command of any ArmoniK worker; by default tasks of pymonik are run.
        port: Listen on this port of the loopback interface (0 takes a free one), where every
            user of this machine can connect and run code; by default on a unix socket that only
            this user can reach.
        folder: Where to make its private folder; by default in memory if there is room, and for
            large values on a disk if that is faster.
        memory_limit: Bytes that each task may use: past them that call fails, and no other.
    """

    def __init__(
        self,
        workers: int | None = None,
        partitions: Mapping[str, int] | None = None,
        worker: Sequence[str] | None = None,
        port: int | None = None,
        folder: Path | None = None,
        memory_limit: int | None = None,
    ) -> None:
        if workers is not None and partitions is not None:
            raise UsageError("give either workers= or partitions=, which has the numbers of each")
        if isinstance(worker, str):
            raise UsageError(f"worker= is a list of strings, such as {worker.split()!r}")
        if memory_limit is not None and (worker is not None or memory_limit < 1):
            raise UsageError("memory_limit= is a number of bytes; a worker= sets its own limit")
        count = _processors() if workers is None else workers
        self.partitions = {
            name: whole_number(f"the workers of partition {name!r}", number, 0, _MOST_WORKERS)
            for name, number in dict(partitions or {DEFAULT_PARTITION: count}).items()
        }
        if port is not None:
            port = whole_number("port", port, 0, (1 << 16) - 1)
        self.default_partition = next(iter(self.partitions))
        self._worker = list(worker) if worker is not None else None
        self._port = port
        self._parent_folder = folder
        self._memory_limit = memory_limit
        self._process: subprocess.Popen[bytes] | None = None
        self._about: dict[str, Any] = {}

    @property
    def endpoint(self) -> str:
        """Where it listens: ``unix:///...`` or ``http://127.0.0.1:...``."""
        return str(self._known("endpoint"))

    @property
    def direct_socket(self) -> Path:
        """Where programs of this user can make requests without gRPC."""
        return Path(self._known("direct_socket"))

    @property
    def storage_folder(self) -> Path:
        """Where the bytes of results lie."""
        return Path(self._known("storage_folder"))

    @property
    def pid(self) -> int:
        """ID of its process."""
        return int(self._known("pid"))

    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> LocalCluster:
        """Start it and wait until it serves; does nothing if it runs.

        Raises:
            ConfigError: The port is taken, the worker cannot be started...
            UnavailableError: It ended, or took too long.
        """
        if self.is_alive():
            return self
        self.stop()  # forget one that died
        self._process = subprocess.Popen(
            self._command(),
            stdin=subprocess.PIPE,  # its lifeline
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(_import_path())},
            start_new_session=True,  # Ctrl-C in the terminal is not for it
        )
        _running.add(self)
        try:
            self._about = self._first_line(self._process)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop it with all that it started, and remove its folder; harmless when stopped."""
        process, self._process = self._process, None
        about, self._about = self._about, {}
        if process is None:
            return
        _running.discard(self)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()  # the end of its lifeline
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if about:
            remove(Path(about["folder"]))  # there only if it was killed

    def __enter__(self) -> LocalCluster:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _known(self, name: str) -> Any:
        if not self._about:
            raise UsageError("the cluster is not started; use `with LocalCluster(...)`, or start()")
        return self._about[name]

    def _command(self) -> list[str]:
        command = [sys.executable, "-m", "pymonik.cluster"]
        command += ["--partitions", json.dumps(self.partitions)]
        if self._worker is not None:
            command += ["--worker", json.dumps(self._worker)]
        if self._port is not None:
            command += ["--port", str(self._port)]
        if self._parent_folder is not None:
            command += ["--folder", str(self._parent_folder)]
        if self._memory_limit is not None:
            command += ["--memory-limit", str(self._memory_limit)]
        return command

    def _first_line(self, process: subprocess.Popen[bytes]) -> dict[str, Any]:
        line = _read_line(process.stdout)
        if not line:
            code = process.poll()
            state = "did not start in time" if code is None else f"ended with exit code {code}"
            raise UnavailableError("start the cluster", f"its process {state}")
        about: dict[str, Any] = json.loads(line)
        if "error" in about:
            raise ConfigError(about["error"])
        return about

    def _forget(self) -> None:
        """In the child of a fork: the cluster is the parent's, so is its lifeline."""
        process, self._process, self._about = self._process, None, {}
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        process.returncode = 0  # not our child: nothing to wait for


def _read_line(pipe: Any) -> bytes:
    """The first line, empty when the pipe ends or the time is over before it is complete."""
    end = time.monotonic() + START_TIMEOUT_S
    line = b""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while not line.endswith(b"\n"):
            if not selector.select(max(end - time.monotonic(), 0)):
                return b""
            part = os.read(pipe.fileno(), 65_536)
            if not part:
                return b""
            line += part
    return line


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _import_path() -> list[str]:
    """Where this process imports from, in order, so that tasks find the same modules."""
    return list(dict.fromkeys(str(Path(entry or ".").absolute()) for entry in sys.path))


class _Shared:
    """The cluster that this process uses when it was given no endpoint."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.cluster: LocalCluster | None = None

    def get(self) -> LocalCluster:
        with self.lock:
            if self.cluster is None:
                self.cluster = LocalCluster()
            return self.cluster.start()

    def stop(self) -> None:
        with self.lock:
            cluster, self.cluster = self.cluster, None
        if cluster is not None:
            cluster.stop()

    def forget(self) -> None:
        self.lock = threading.Lock()  # a thread of the parent may have held it
        self.cluster = None


_shared = _Shared()
atexit.register(_shared.stop)


def shared_local_cluster() -> LocalCluster:
    """The embedded cluster of this process: started at first use, and anew if it has died."""
    return _shared.get()


def _after_fork() -> None:
    for cluster in list(_running):
        cluster._forget()
    _running.clear()
    _shared.forget()


with contextlib.suppress(AttributeError):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
