"""The gRPC server in front of a control plane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc

from pymonik.cluster.services.public_api import add_services
from pymonik.cluster.services.request_threads import RequestThreads

if TYPE_CHECKING:
    from pymonik.cluster.control_plane import ControlPlane

# Threads that answer requests at most. Each GetEvents stream holds one as long as it lasts, so this
# must exceed `MAX_STREAMS` of the events service, or streams would leave none for requests.
MAX_THREADS = 512
OPTIONS = [
    # No limits, as ArmoniK's control plane has none.
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # By default gRPC lets two servers listen on one port of Linux, and each gets some of the
    # clients.
    ("grpc.so_reuseport", 0),
    # Clients ask every 20 s whether the connection is there; by default gRPC takes more than two of
    # these within minutes for an attack and cuts the connection of whoever waits quietly.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
]


def serve(control_plane: ControlPlane, address: str) -> Any:
    """Start to serve ArmoniK's public API at an address such as ``unix:/path``.

    Raises:
        RuntimeError: The address cannot be used.
    """
    server = make_server(control_plane)
    server.add_insecure_port(address)
    server.start()
    return server


def make_server(control_plane: ControlPlane) -> Any:
    """ArmoniK's public API, but for the deprecated ``Submitter``, as a server to be started.

    Close the state before the server is stopped, so that streams of events end.
    """
    threads: Any = RequestThreads(MAX_THREADS)  # all that the server wants of a pool is `submit`
    server = grpc.server(threads, options=OPTIONS)
    add_services(control_plane, server)
    return server
