"""The process of one foreign worker: its sockets, its start, its health, its end.

Knows nothing of tasks; `foreign` runs those.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

import grpc
from armonik.protogen.common.objects_pb2 import Empty
from armonik.protogen.common.worker_common_pb2 import HealthCheckReply
from armonik.protogen.worker.worker_service_pb2_grpc import WorkerStub

from pymonik.launch.process import Supervised
from pymonik.launch.python import Plan

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence
    from pathlib import Path

logger = logging.getLogger(__name__)

START_TIMEOUT_S = 60.0  # until a worker that was started answers HealthCheck
PROBE_TIMEOUT_S = 1.0  # of one HealthCheck meanwhile
STOP_TIMEOUT_S = 2.0  # from SIGTERM to SIGKILL
DEATH_TIMEOUT_S = 1.0  # from a broken connection to the end of the process
OUTPUT_TAIL = 2_000  # bytes shown when a worker dies
OUTPUT_LIMIT = 4_000_000  # bytes; the file lies in memory
CHANNEL_OPTIONS = (
    # For a unix socket grpcio sends its path as the host, which servers of other languages refuse.
    ("grpc.default_authority", "localhost"),
    ("grpc.use_local_subchannel_pool", 1),  # a restarted worker gets a new connection
    # The first attempts come before the worker listens; by default gRPC would wait for a second.
    ("grpc.initial_reconnect_backoff_ms", 20),
    ("grpc.min_reconnect_backoff_ms", 20),
    ("grpc.max_reconnect_backoff_ms", 200),
)


class WorkerProcess:
    """A worker started from a command, and the channel to it.

    Args:
        command: Program and arguments.
        folder: Private folder of this worker, for its socket and its output.
        agent_socket: Where its agent listens.
        current_folder: Where the command runs; empty for that of this process.
        inherit_output: Write to the standard error of this process instead of to a file.
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        agent_socket: Path,
        *,
        current_folder: str,
        inherit_output: bool,
    ) -> None:
        self._command = list(command)
        self._current_folder = current_folder
        self._socket = folder / "worker.sock"
        self._agent_socket = agent_socket
        self._output = None if inherit_output else folder / "worker.log"
        self._process: Supervised | None = None
        self._channel: Any = None
        self._stub: Any = None

    def start(self) -> None:
        """Start the command."""
        self._socket.unlink(missing_ok=True)  # of the process before: not every worker removes it
        with self._open_output() as output:
            self._process = Supervised(
                Plan(arguments=self._command, folder=self._current_folder),
                variables=self._addresses(),
                stdout=output,
                stderr=output,
            )
        self._channel = grpc.insecure_channel(f"unix:{self._socket}", CHANNEL_OPTIONS)
        self._stub = WorkerStub(self._channel)

    def wait_serving(self, stopping: threading.Event) -> bool:
        """Whether the worker says that it serves, before it ends or takes too long."""
        end = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < end and self.is_alive() and not stopping.is_set():
            if self.serves(PROBE_TIMEOUT_S):
                return True
            stopping.wait(0.02)
        return False

    def serves(self, timeout_s: float) -> bool:
        """Ask for its health; a worker without HealthCheck counts as healthy, as in ArmoniK."""
        try:
            reply = self._stub.HealthCheck(Empty(), timeout=timeout_s, wait_for_ready=True)
        except grpc.RpcError as error:
            return bool(error.code() is grpc.StatusCode.UNIMPLEMENTED)
        return bool(reply.status == HealthCheckReply.SERVING)

    def process(self, request: Any, timeout_s: float) -> Any:
        """Send a task; gives the call, which can be cancelled."""
        return self._stub.Process.future(request, timeout=timeout_s)

    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.pump()

    def death(self, *, wait: bool) -> str:
        """How the process ended, in words; empty while it runs.

        Args:
            wait: A connection just broke: give the process a moment to end.
        """
        if self._process is None:
            return "the worker was not started"
        if wait:
            self._process.wait(DEATH_TIMEOUT_S)
        if self._process.pump():
            return ""
        return f"the worker process ended: {self._process.death}"

    def output_tail(self) -> str:
        """The last lines that the worker wrote, empty if they go elsewhere."""
        if self._output is None or not self._output.exists():
            return ""
        return self._output.read_bytes()[-OUTPUT_TAIL:].decode(errors="replace").strip()

    def trim_output(self) -> None:
        """Forget what the worker wrote once it is much."""
        if self._output is not None and self._output.stat().st_size > OUTPUT_LIMIT:
            os.truncate(self._output, 0)

    def stop(self) -> None:
        """End the process and what it started; harmless when it has ended."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        process, self._process = self._process, None
        if process is None:
            return
        process.ask(signal.SIGTERM, STOP_TIMEOUT_S)
        process.wait(2 * STOP_TIMEOUT_S)
        process.close()

    def _addresses(self) -> dict[str, str]:
        channels = {"WorkerChannel": self._socket, "AgentChannel": self._agent_socket}
        own = {}
        for name, path in channels.items():
            own[f"ComputePlane__{name}__Address"] = str(path)
            own[f"ComputePlane__{name}__SocketType"] = "unixdomainsocket"
        return own

    def _open_output(self) -> Any:
        if self._output is None:
            return os.fdopen(os.dup(sys.stderr.fileno()), "wb")
        return self._output.open("ab")
