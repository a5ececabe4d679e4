"""What strangers write to the direct socket ends their connection, and nothing else."""

from __future__ import annotations

import random
import socket
import struct

import msgspec
import pytest

from pymonik import LocalCluster, Pymonik, task
from pymonik.wire.embedded import DirectRequest
from pymonik.wire.framing import framed

TIMEOUT_S = 30.0
TASKS = "armonik.api.grpc.v1.tasks.Tasks"
MARK = framed(DirectRequest("/x", b""))[:4]


@task
def add(a: int, b: int) -> int:
    return a + b


def headed(body: bytes, length: int | None = None) -> bytes:
    return MARK + struct.pack("<Q", len(body) if length is None else length) + body


GARBAGE = {
    "text": b"GET / HTTP/1.1\r\n\r\n",
    "zeros": bytes(100),
    "noise": random.Random(1).randbytes(5000),
    "a huge length": headed(b"x", 1 << 62),
    "no msgpack": headed(b"\xc1" * 20),
    "another message": headed(msgspec.msgpack.encode({"what": 1})),
    "nesting": headed(b"\x91" * 200_000),
    "types": headed(msgspec.msgpack.encode([1, [2], {}, None])),
    "no method": framed(DirectRequest("/no.such/Method", b"\xff" * 10)),
    "no message": framed(
        DirectRequest("/armonik.api.grpc.v1.tasks.Tasks/SubmitTasks", b"\xff" * 9)
    ),
}


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_ends_its_connection_and_others_go_on(data: bytes) -> None:
    with LocalCluster(workers=1) as cluster, Pymonik(cluster):
        assert add.invoke(1, 2).get(timeout=TIMEOUT_S) == 3
        for _ in range(3):
            with socket.socket(socket.AF_UNIX) as stranger:
                stranger.settimeout(TIMEOUT_S)
                stranger.connect(str(cluster.direct_socket))
                stranger.sendall(data)
                stranger.shutdown(socket.SHUT_WR)
                while stranger.recv(1 << 16):  # an answer that says no, or none; then the end
                    pass
        assert add.invoke(3, 4).get(timeout=TIMEOUT_S) == 7
        with socket.socket(socket.AF_UNIX) as silent:  # half a frame, and no more
            silent.connect(str(cluster.direct_socket))
            silent.sendall(headed(b"", 100)[:9])
            assert add.invoke(5, 6).get(timeout=TIMEOUT_S) == 11
