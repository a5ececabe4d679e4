"""``python -m pymonik.worker.health``: whether the worker of this container takes tasks.

For the probe of a container: exit code 0 if it does, 1 with a line that says why if not. Reads the
variables that the worker reads, and asks what ArmoniK's agent asks.
"""

from __future__ import annotations

import sys

import grpc
from armonik.protogen.common.objects_pb2 import Empty
from armonik.protogen.common.worker_common_pb2 import HealthCheckReply
from armonik.protogen.worker.worker_service_pb2_grpc import WorkerStub

from pymonik.errors import ConfigError
from pymonik.worker.worker_settings import Settings

ANSWER_S = 5.0  # seconds for the worker's answer, as ArmoniK's agent gives it


def problem(address: str, timeout_s: float = ANSWER_S) -> str:
    """Why the worker that listens there takes no task; ``""`` if it does."""
    options = [("grpc.default_authority", "localhost")]
    with grpc.insecure_channel(address, options) as channel:
        try:
            reply = WorkerStub(channel).HealthCheck(Empty(), timeout=timeout_s)
        except grpc.RpcError as error:
            return f"no answer at {address}: {error.code().name}"
    return "" if reply.status == HealthCheckReply.SERVING else "it ends, and takes no more tasks"


def main() -> int:
    """The exit code."""
    try:
        found = problem(Settings.read().worker)
    except ConfigError as error:
        found = str(error)
    if found:
        sys.stderr.write(f"pymonik.worker: {found}\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
