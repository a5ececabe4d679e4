"""An embedded cluster that costs what a real ArmoniK costs, to develop against.

::

    client ── proxy: 0.5 ms per submitted task, unary requests over 30 MB are refused
                └── embedded cluster ── slow workers: 12 to 16 ms per task, whatever it does

``python -m benchmarks.remote --workers 2`` writes where it listens and serves until Ctrl-C; use it
with ``Pymonik(endpoint, direct=False)``. The costs were measured on a deployed ArmoniK.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import grpc
from armonik.protogen.common.tasks_common_pb2 import SubmitTasksRequest

from pymonik import LocalCluster
from pymonik.worker import run_pymonik_worker, server
from pymonik.worker.service import WorkerService

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pymonik.executor.endings import Ending
    from pymonik.executor.pool import ExecutorPool
    from pymonik.worker.agent_requests import TaskAgent

AGENT_S = (0.012, 0.016)  # of an agent, per task
SUBMIT_S = 0.0005  # of the control plane, per submitted task
MOST_BYTES = 30_000_000  # of a unary request
_STREAMED = "/UploadResultData"  # the only method whose requests are a stream
_THREADS = 64
_LONGEST_S = 1e6
_IDLE_S = 0.03  # no task came for so long: nothing was done meanwhile
_OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


@contextmanager
def remote_cluster(workers: int) -> Iterator[str]:
    """Start the cluster, its slow workers and the proxy; gives the endpoint of the proxy."""
    command = [sys.executable, "-m", "benchmarks.remote", "--as-worker"]
    with (
        tempfile.TemporaryDirectory(prefix="pmk-remote-") as folder,
        LocalCluster(workers, worker=command) as cluster,
        proxy(cluster.endpoint, f"unix:{folder}/proxy.sock") as endpoint,
    ):
        yield endpoint


@contextmanager
def proxy(target: str, address: str) -> Iterator[str]:
    """Serve on ``address`` what ``target`` serves, for what it costs on a real ArmoniK."""
    options = [*_OPTIONS, ("grpc.default_authority", "localhost")]
    with grpc.insecure_channel(target.removeprefix("http://"), options) as channel:
        threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="proxy")
        front = grpc.server(threads, handlers=[_Forward(channel)], options=_OPTIONS)
        front.add_insecure_port(address)
        front.start()
        try:
            yield address
        finally:
            front.stop(None).wait()
            threads.shutdown()


class _Forward(grpc.GenericRpcHandler):
    """Every method as a stream of bytes both ways, which is what a unary one is on the wire."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self._control_plane = threading.Lock()  # what it computes, it computes one by one

    def service(self, details: Any) -> Any:
        method = details.method

        def forward(requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
            if not method.endswith(_STREAMED):
                requests = iter([self._paid(method, next(requests), context)])
            call = self._channel.stream_stream(method)(requests, timeout=_time_left(context))
            if not context.add_callback(call.cancel):
                call.cancel()
            try:
                context.send_initial_metadata(call.initial_metadata())  # a silent stream is up
                yield from call
            except grpc.RpcError as error:
                context.abort(error.code(), error.details())

        return grpc.stream_stream_rpc_method_handler(forward)

    def _paid(self, method: str, request: bytes, context: Any) -> bytes:
        if len(request) > MOST_BYTES:
            context.abort(grpc.StatusCode.UNKNOWN, "Exception was thrown by handler.")
        if method.endswith("/SubmitTasks"):
            with self._control_plane:
                time.sleep(SUBMIT_S * len(SubmitTasksRequest.FromString(request).task_creations))
        return request


def _time_left(context: Any) -> float | None:
    left = context.time_remaining()
    # Without a deadline some versions give a number that none of them takes back.
    return None if left is None or left > _LONGEST_S else float(left)


class SlowService(WorkerService):
    """The worker of the package, in front of which an agent takes its time."""

    def __init__(self, pool: ExecutorPool, agent: Any) -> None:
        super().__init__(pool, agent)
        self._ended = 0.0
        self._user_s = 0.0

    def Process(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Run one task, then be busy for what is left of the time of an agent.

        What the embedded cluster's agent and this worker took themselves counts, so that the sum
        is right; what the user's code took does not.
        """
        begin = time.monotonic()
        between_s = begin - self._ended
        if between_s > _IDLE_S:
            between_s = 0.0
        reply = super().Process(request, context)
        spent_s = between_s + time.monotonic() - begin - self._user_s
        time.sleep(max(0.0, random.uniform(*AGENT_S) - spent_s))
        self._ended = time.monotonic()
        return reply

    def _run(self, request: Any, context: Any, agent: TaskAgent) -> Ending:
        begin = time.monotonic()
        try:
            return super()._run(request, context, agent)
        finally:
            self._user_s = time.monotonic() - begin


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.remote", description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--as-worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.as_worker:
        # The package has no place for this, on purpose: nothing in it is slow on demand.
        vars(server)["WorkerService"] = SlowService
        run_pymonik_worker()
        return 0
    with remote_cluster(options.workers) as endpoint:
        print(endpoint, flush=True)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
