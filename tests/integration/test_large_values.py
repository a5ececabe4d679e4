"""Large values: one copy in memory for all executors, and still each call's own."""

from __future__ import annotations

import socket
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import psutil
import pytest
from armonik.client import ArmoniKSessions

from pymonik import LocalCluster, Pymonik, ResultHandle, task
from pymonik.content.objects import large_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1 << 20
PAGE = 4096
EXECUTORS = 4
TIMEOUT_S = 50.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(workers=EXECUTORS) as started:
        yield started


@pytest.fixture
def client(cluster: LocalCluster) -> Iterator[Pymonik]:
    with Pymonik(cluster.endpoint, storage_folder=cluster.storage_folder) as client:
        yield client


@task
def hold(array: Any, port: int) -> int:
    """Read every page, then say so and wait for the end of the connection."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        total = int(array[::PAGE].sum())
        sock.sendall(b"x")
        sock.recv(1)
    return total


@task
def total(array: Any) -> int:
    return int(array.sum())


@task
def doubled(array: Any) -> Any:
    return array * 2


@task
def write(array: Any) -> int:
    array[:] = 7
    return int(array.sum())


@task
def total_then_write(array: Any) -> int:
    found = int(array.sum())
    array[:] = 7
    return found


@task
def keep(array: Any) -> int:
    """Leave the array behind, and write to what the call before has left."""
    before = vars(sys).get("_left_by_a_test")
    if before is not None:
        before[:] = 9
    vars(sys)["_left_by_a_test"] = array
    return int(array.sum())


def held_by(cluster: LocalCluster, handle: Any) -> int:
    """Memory of the cluster, shared pages counted once, while every executor has the array."""
    with ExitStack() as opened:
        server = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
        server.settimeout(TIMEOUT_S)
        calls = [hold.invoke(handle, server.getsockname()[1]) for _ in range(EXECUTORS)]
        connections = [opened.enter_context(server.accept()[0]) for _ in calls]
        for connection in connections:
            connection.settimeout(TIMEOUT_S)
            assert connection.recv(1) == b"x"
        processes = [psutil.Process(cluster.pid), *psutil.Process(cluster.pid).children(True)]
        memory = sum(process.memory_full_info().pss for process in processes)
    for call in calls:
        call.result(TIMEOUT_S)
    return memory


@pytest.mark.skipif(sys.platform != "linux", reason="needs the proportional set size")
def test_executors_share_the_memory_of_what_was_put(cluster: LocalCluster, client: Pymonik) -> None:
    size = 256 * MIB
    before = held_by(cluster, client.put(np.ones(MIB, np.uint8)))
    grown = held_by(cluster, client.put(np.ones(size, np.uint8))) - before
    assert 0.9 * size < grown < 1.5 * size


def test_what_calls_write_into_an_argument_no_other_call_sees(client: Pymonik) -> None:
    size = 8 * MIB
    array: ResultHandle[Any] = client.put(np.ones(size, np.uint8))
    calls = [(write if n % 3 == 1 else total).invoke(array) for n in range(30)]
    found = [call.result(TIMEOUT_S) for call in calls]
    assert found == [size * (7 if n % 3 == 1 else 1) for n in range(30)]


@pytest.mark.parametrize("size", [3000, 100_000, 8 * MIB])
def test_nor_do_calls_of_one_map(client: Pymonik, size: int) -> None:
    array: ResultHandle[Any] = client.put(np.ones(size, np.uint8))
    assert total_then_write.map_invoke([array] * 40).result(TIMEOUT_S) == [size] * 40


def test_what_a_call_leaves_behind_is_not_what_the_next_one_gets(client: Pymonik) -> None:
    size = 8 * MIB
    array: ResultHandle[Any] = client.put(np.ones(size, np.uint8))
    calls = [keep.invoke(array) for _ in range(20)]
    assert [call.result(TIMEOUT_S) for call in calls] == [size] * 20


def test_what_the_client_writes_into_a_value_the_storage_does_not_see(client: Pymonik) -> None:
    size = 8 * MIB
    value: Any = np.ones(size, np.uint8)
    array: ResultHandle[Any] = client.put(value)
    value[:] = 2
    got = array.result(TIMEOUT_S)
    got[:] = 3
    assert total.invoke(array).result(TIMEOUT_S) == size


def test_the_bytes_of_large_values_are_deleted_with_their_session(cluster: LocalCluster) -> None:
    folder = cluster.storage_folder
    before = set(folder.iterdir())
    with Pymonik(cluster.endpoint, storage_folder=folder) as client:
        array: ResultHandle[Any] = client.put(np.ones(3 * MIB, np.uint8))
        assert int(doubled.invoke(array).result(TIMEOUT_S).sum()) == 6 * MIB
        large = [one for one in set(folder.iterdir()) - before if one.stat().st_size > 2 * MIB]
        assert len(large) == 2
        session_id = client.session_id
    with grpc.insecure_channel(cluster.endpoint) as channel:
        ArmoniKSessions(channel).delete_session(session_id)
    for place in (folder, large_folder(folder)):
        assert not {one.name for one in large} & {one.name for one in place.iterdir()}
