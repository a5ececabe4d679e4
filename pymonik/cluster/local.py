"""`LocalCluster`: an embedded cluster in a process of its own, bound to the life of this one."""

from __future__ import annotations

import atexit
import contextlib
import inspect
import json
import logging
import os
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from pymonik.errors import ConfigError, UnavailableError, UsageError
from pymonik.launch import open_files, threads
from pymonik.launch.first_message import answer, first_message, own_stderr
from pymonik.launch.python import Plan, variables
from pymonik.launch.sizes import size
from pymonik.options import refuse_unknown
from pymonik.quantities import wait_s, whole_number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

logger = logging.getLogger(__name__)

DEFAULT_PARTITION = "pymonik"
_MOST_WORKERS = 100_000  # of a partition: a larger number is taken for a mistake
START_TIMEOUT_S = 90.0  # until the first message: longer than a foreign worker may take (60 s)
STOP_TIMEOUT_S = 20.0  # longer than the process gives itself (15 s), which is then killed
FILES = 20  # open files of a client in this process, its sockets and pipes
THREADS = 16  # of gRPC and of a client in this process
GRACE_S = 5.0  # default of `grace_s`
LONGEST_GRACE_S = LONGEST_DRAIN_S = 86_400.0
# Clusters whose pipes a child of `fork` has to close: its copies would hold the lifeline open.
_running: weakref.WeakSet[LocalCluster] = weakref.WeakSet()


_HINTS = {
    "endpoint": "it is that of a client: Pymonik(endpoint)",
    "environment": "it belongs to a client: Pymonik(cluster, environment=...)",
    "max_duration": "it belongs to a client: Pymonik(cluster, max_duration=...)",
}


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
        memory_limit: What each task may use with all that it starts, such as ``"2G"`` or a number
            of bytes: past it that call fails, and no other.
        grace_s: Seconds from asking a task to end, because it was cancelled or its time is over,
            until it is killed with all that it started.
        gpus: One GPU for each worker: how many, or which (numbers or UUIDs). Each task finds its
            own as the only one, by ``CUDA_VISIBLE_DEVICES``. Without ``workers=`` there are as many
            workers; where there are more than GPUs, some share one.
        isolated: Run tasks as on another machine: in an empty folder, without anything that lies in
            folders of this program.
    """

    def __init__(
        self,
        workers: int | None = None,
        partitions: Mapping[str, int] | None = None,
        worker: Sequence[str] | None = None,
        port: int | None = None,
        folder: Path | None = None,
        memory_limit: int | str | None = None,
        grace_s: float = GRACE_S,
        *,
        gpus: int | Sequence[int | str] | None = None,
        isolated: bool = False,
        **_unknown: NoReturn,
    ) -> None:
        refuse_unknown("LocalCluster()", _unknown, _keywords(), _HINTS)
        if workers is not None and partitions is not None:
            raise UsageError("give either workers= or partitions=, which has the numbers of each")
        if isinstance(worker, str):
            raise UsageError(f"worker= is a list of strings, such as {worker.split()!r}")
        if memory_limit is not None and worker is not None:
            raise UsageError("memory_limit= is for tasks of pymonik; a worker= sets its own limit")
        if not 0 <= grace_s < LONGEST_GRACE_S:
            raise UsageError(f"grace_s= is a number of seconds, not {grace_s!r}")
        if gpus is not None and worker is not None:
            raise UsageError("gpus= is for tasks of pymonik; a worker= sees to its own GPU")
        self._gpus: tuple[str, ...] = ()
        if gpus is not None:
            from pymonik.launch.chosen_gpus import gpu_names  # asks the machine what it has

            self._gpus = gpu_names(gpus, os.environ)
        count = workers
        if count is None:
            count = len(self._gpus) or _processors()
        self.partitions = {
            name: whole_number(f"the workers of partition {name!r}", number, 0, _MOST_WORKERS)
            for name, number in dict(partitions or {DEFAULT_PARTITION: count}).items()
        }
        if port is not None:
            port = whole_number("port", port, 0, (1 << 16) - 1)
        self.default_partition = next(iter(self.partitions))
        self._is_isolated = isolated
        self._worker = list(worker) if worker is not None else None
        self._port = port
        self._parent_folder = folder
        self._memory_limit = None if memory_limit is None else size(memory_limit, "memory_limit=")
        self._grace_s = grace_s
        self._process: _Process | None = None
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

    @property
    def shares_paths(self) -> bool:
        """Whether tasks may use what lies in folders of this machine."""
        return self._worker is None and not self._is_isolated

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
        threads.check(THREADS)
        open_files.check(FILES)
        for name, workers in self.partitions.items():
            if not workers:
                logger.warning("partition %r has no workers: what is sent there waits", name)
        self._process = self._launch()
        _running.add(self)
        try:
            _load_meanwhile()
            self._about = first_message(self._process, START_TIMEOUT_S)
        except BaseException:
            self.stop()
            raise
        return self

    def _launch(self) -> _Process:
        """Start its process; what it writes while it starts comes here, then to our stderr."""
        plan = Plan("pymonik.cluster", self._arguments(), last=import_path())
        with own_stderr() as stderr:
            try:
                return _Process(
                    [*plan.command(), "--stderr", str(stderr)],
                    # The lifeline: its end tells the cluster that this process is gone.
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    bufsize=0,
                    pass_fds=(stderr,),
                    env=variables(),
                    start_new_session=True,  # Ctrl-C in the terminal is not for it
                )
            except OSError as error:
                raise ConfigError(
                    f"the cluster cannot be started with {plan.command()[0]!r}, which "
                    f"sys.executable names: {error}"
                ) from error

    def drain(self, timeout: float) -> int:
        """Let running tasks end, and cancel those that have not begun; it goes on answering.

        Running tasks see it in `PymonikContext.stopping`. From then on it begins no task; `stop` it
        when the values that are wanted have been read.

        Args:
            timeout: Seconds to wait for running tasks.

        Returns:
            How many tasks still run after that.
        """
        seconds = wait_s(timeout)
        seconds = LONGEST_DRAIN_S if seconds is None else min(seconds, LONGEST_DRAIN_S)
        self._known("pid")
        process = self._process
        if process is None or process.stdin is None:
            raise UsageError("the cluster has ended")
        try:
            process.stdin.write(f"drain {seconds}\n".encode())
        except OSError as error:
            raise UnavailableError("drain the cluster", "its process has ended") from error
        return int(answer(process, seconds + STOP_TIMEOUT_S)["running"])

    def stop(self) -> None:
        """Stop it with all that it started, and remove its folder; harmless when stopped."""
        process, self._process = self._process, None
        about, self._about = self._about, {}
        if process is None:
            return
        _running.discard(self)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                # The process reads from the first one: that is its lifeline, whose end it takes for
                # an order to stop.
                pipe.close()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if about:
            from pymonik.cluster.folder import remove  # loaded when it was started

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

    def _arguments(self) -> list[str]:
        arguments = ["--partitions", json.dumps(self.partitions)]
        arguments += ["--grace", str(self._grace_s)]
        if self._gpus:
            arguments += ["--gpus", json.dumps(self._gpus)]
        if self._is_isolated:
            arguments.append("--isolated")
        elif (folder := current_folder()) is not None:
            arguments += ["--current-folder", folder]
        if self._worker is not None:
            arguments += ["--worker", json.dumps(self._worker)]
        if self._port is not None:
            arguments += ["--port", str(self._port)]
        if self._parent_folder is not None:
            arguments += ["--folder", str(Path(self._parent_folder).absolute())]
        if self._memory_limit is not None:
            arguments += ["--memory-limit", str(self._memory_limit)]
        return arguments

    def leave_to_its_lifeline(self) -> None:
        """Let it run until this process has ended, without a word about what was not closed."""
        process = self._process
        if process is None:
            return
        process.is_left = True
        for name in ("stdin", "stdout", "stderr"):
            pipe = getattr(process, name)
            if not pipe.closed:
                left = open(os.dup(pipe.fileno()), pipe.mode, buffering=0, closefd=False)  # noqa: SIM115
                setattr(process, name, left)
                pipe.close()

    def _forget(self) -> None:
        """In the child of a fork: the cluster is the parent's, so is its lifeline."""
        process, self._process, self._about = self._process, None, {}
        if process is None:
            return
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        process.returncode = 0  # the parent's child: `Popen` would wait for it, and warn


def _load_meanwhile() -> None:
    """Import what this process needs next, while that of the cluster starts on another processor.

    It is what a client opens a session with, two thirds of what a program loads before its first
    value. Then there is nothing left to do but wait for the cluster.
    """
    import pymonik.cluster.folder
    import pymonik.transport.opening  # noqa: F401


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def current_folder() -> str | None:
    """The current folder of this process; ``None`` when it was removed."""
    try:
        return os.getcwd()  # noqa: PTH109 - no need for a Path
    except OSError:  # the folder was removed
        return None


def import_path() -> list[str]:
    """Where this process imports from beside the standard library, in order."""
    library = os.path.dirname(os.__file__)  # noqa: PTH120 - compared as text
    own = (library, os.path.join(library, "lib-dynload"))  # noqa: PTH118
    current = current_folder()
    entries = (current if entry in ("", ".") else entry for entry in sys.path)
    known = (os.path.abspath(entry) for entry in entries if entry)  # noqa: PTH100
    return [entry for entry in dict.fromkeys(known) if entry not in own]


class _Process(subprocess.Popen[bytes]):
    """The cluster's.

    Attributes:
        is_left: Whether it is to outlive this object: its lifeline ends it.
    """

    is_left = False

    def __del__(self) -> None:
        if not self.is_left:
            super().__del__()


class _Shared:
    """The cluster that this process uses when it was given no endpoint.

    It is not stopped when the interpreter ends. What was registered with `atexit` before pymonik
    was imported runs after anything that could be registered here, and may still make calls.
    """

    def __init__(self) -> None:
        # Reentrant: a signal handler may make a call while its own thread starts the cluster.
        self.lock = threading.RLock()
        self.cluster: LocalCluster | None = None
        self._is_starting = False

    def get(self) -> LocalCluster:
        with self.lock:
            if self._is_starting:
                raise UsageError(
                    "a signal handler cannot wait for the cluster that is being started by what "
                    "it interrupted"
                )
            if self.cluster is None:
                self.cluster = LocalCluster()
            self._is_starting = True
            try:
                return self.cluster.start()
            finally:
                self._is_starting = False

    def leave(self) -> None:
        with self.lock:
            if self.cluster is not None:
                self.cluster.leave_to_its_lifeline()

    def forget(self) -> None:
        self.lock = threading.RLock()  # a thread of the parent may have held it
        self.cluster = None
        self._is_starting = False


_shared = _Shared()
atexit.register(_shared.leave)


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


def _keywords() -> list[str]:
    return [name for name in inspect.signature(LocalCluster).parameters if name != "_unknown"]
