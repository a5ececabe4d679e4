"""The public socket of a program's cluster: gRPC is loaded when somebody comes to it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from armonik.client import ArmoniKSessions

from pymonik import LocalCluster, Pymonik, task
from pymonik.cluster.services.until_asked import UntilAsked

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT_S = 30.0
LARGE = bytes(range(256)) * 20_000

# A process that has no gRPC of its own: what the cluster and the program load must not mix.
PROGRAM = """
import sys
from pathlib import Path
from pymonik import LocalCluster, Pymonik, task

@task
def loaded():
    import sys
    return sorted(sys.modules)

if __name__ == "__main__":
    with LocalCluster(workers=1) as cluster:
        with Pymonik(cluster):
            there = set(loaded.invoke().get(timeout=30))
        here = set(sys.modules)
        for name in ("grpc", "asyncio", "yaml", "numpy", "pandas", "IPython", "psutil"):
            assert name not in here, name
            assert name not in there, name
        assert not {"armonik", "google.protobuf", "pymonik.transport"} & there
        maps = Path(f"/proc/{cluster.pid}/maps").read_text()
        assert "cygrpc" not in maps
        with Pymonik(cluster.endpoint, direct=False):
            assert "pymonik" in loaded.invoke().get(timeout=30)
        assert "cygrpc" in Path(f"/proc/{cluster.pid}/maps").read_text()
    print("well")
"""


@task
def add(a: int, b: int) -> int:
    return a + b


@pytest.mark.skipif(sys.platform != "linux", reason="looks at the memory of a process")
def test_neither_side_loads_grpc_until_somebody_speaks_it(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.strip() == "well", done.stderr


def test_many_may_be_the_first_to_come() -> None:
    with LocalCluster(workers=1) as cluster:

        def sessions(_: int) -> int:
            with grpc.insecure_channel(
                cluster.endpoint.replace("unix://", "unix:"),
                [("grpc.default_authority", "localhost"), ("grpc.use_local_subchannel_pool", 1)],
            ) as channel:
                return int(ArmoniKSessions(channel).list_sessions()[0])

        with ThreadPoolExecutor(8) as threads:
            assert list(threads.map(sessions, range(8))) == [0] * 8
        with Pymonik(cluster.endpoint):
            assert add.invoke(1, 2).get(timeout=TIMEOUT_S) == 3


def test_who_only_looks_whether_somebody_is_there_does_no_harm() -> None:
    with LocalCluster(workers=1) as cluster, Pymonik(cluster):
        for _ in range(3):
            with socket.socket(socket.AF_UNIX) as one:
                one.connect(cluster.endpoint.removeprefix("unix://"))
        assert add.invoke(1, 2).get(timeout=TIMEOUT_S) == 3
        with Pymonik(cluster.endpoint):
            assert add.invoke(3, 4).get(timeout=TIMEOUT_S) == 7


def test_a_first_client_whose_cluster_is_killed_is_told() -> None:
    with LocalCluster(workers=1) as cluster:
        os.kill(cluster.pid, signal.SIGSTOP)  # it connects, and nobody answers
        with socket.socket(socket.AF_UNIX) as one:
            one.settimeout(TIMEOUT_S)
            one.connect(cluster.endpoint.removeprefix("unix://"))
            os.kill(cluster.pid, signal.SIGKILL)
            with contextlib.suppress(ConnectionResetError):
                assert one.recv(1) == b""


# -- without a cluster -----------------------------------------------------------------------------


class Server:
    """Gives back what it gets, in capitals; made when it is asked for."""

    def __init__(self) -> None:
        self.made = threading.Event()
        self.may_be_made = threading.Event()
        self.listener = socket.socket(socket.AF_UNIX)

    def serve(self, path: Path) -> None:
        assert self.may_be_made.wait(TIMEOUT_S)
        self.listener.bind(str(path))
        self.listener.listen()
        self.made.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the test is over
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            while data := connection.recv(1 << 16):
                connection.sendall(data.upper())

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.close()


@pytest.fixture
def path(short_path: Path) -> Path:
    return short_path / "socket"


def _connected(path: Path) -> socket.socket:
    one = socket.socket(socket.AF_UNIX)
    try:
        one.settimeout(TIMEOUT_S)
        one.connect(str(path))
    except BaseException:
        one.close()
        raise
    return one


def _told(one: socket.socket, data: bytes) -> bytes:
    told = bytearray()

    def read() -> None:
        while len(told) < len(data) and (part := one.recv(1 << 16)):
            told.extend(part)

    reader = threading.Thread(target=read)
    reader.start()
    one.sendall(data)
    reader.join(TIMEOUT_S)
    return bytes(told)


def test_who_came_before_the_server_and_who_comes_after_are_served(
    path: Path, server: Server
) -> None:
    socket_of_all = UntilAsked(path, server.serve)
    socket_of_all.start()
    assert path.stat().st_mode & 0o777 == 0o600
    early = [_connected(path) for _ in range(3)]
    early[0].sendall(b"early")
    server.may_be_made.set()
    assert server.made.wait(TIMEOUT_S)
    assert early[0].recv(100) == b"EARLY"
    assert _told(early[1], LARGE) == LARGE.upper()
    with _connected(path) as late:
        assert _told(late, b"late") == b"LATE"
    assert path.stat().st_mode & 0o777 == 0o600
    for one in early:
        one.close()
    socket_of_all.stop()


def test_it_is_stopped_before_somebody_comes(path: Path, server: Server) -> None:
    socket_of_all = UntilAsked(path, server.serve)
    socket_of_all.start()
    socket_of_all.stop()
    assert not server.made.is_set()
    with socket.socket(socket.AF_UNIX) as one, pytest.raises(ConnectionRefusedError):
        one.connect(str(path))


def test_whoever_came_learns_that_there_is_no_server(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: Path) -> None:
        raise OSError("no descriptor is left")

    socket_of_all = UntilAsked(path, broken)
    socket_of_all.start()
    with _connected(path) as one, contextlib.suppress(ConnectionResetError):
        assert one.recv(1) == b""
    assert "no descriptor is left" in caplog.text
    socket_of_all.stop()
