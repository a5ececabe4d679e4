"""In a session that goes on, what nobody can ask for any more takes no room in the cluster."""

from __future__ import annotations

import gc
import pickle
import socket
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pymonik import LocalCluster, MultiResultHandle, Pymonik, ResultHandle, task

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIZE = 4 << 20
WAIT_S = 20.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(workers=2) as started:
        yield started


@pytest.fixture
def client(cluster: LocalCluster) -> Iterator[Pymonik]:
    with Pymonik(cluster) as client:
        yield client


@task
def zeros(size: int) -> Any:
    return np.zeros(size, dtype=np.uint8)


@task
def size_of(array: Any, port: int = 0) -> int:
    """Wait at that port, if there is one, until it is let in."""
    if port:
        with socket.create_connection(("127.0.0.1", port), timeout=3 * WAIT_S) as sock:
            sock.recv(1)
    return int(array.nbytes)


@task
def size_after(array: Any, seconds: float) -> int:
    time.sleep(seconds)
    return int(array.nbytes)


def stored(folder: Path) -> int:
    """How many large values the cluster has."""
    return sum(map(_is_large, folder.iterdir()))


def _is_large(path: Path) -> bool:
    try:
        return path.is_file() and path.stat().st_size >= SIZE
    except FileNotFoundError:  # deleted meanwhile
        return False


def wait_for(folder: Path, count: int) -> None:
    """Until so many are left."""
    gc.collect()
    end = time.monotonic() + WAIT_S
    while (number := stored(folder)) != count:
        assert time.monotonic() < end, f"{number} are left"
        time.sleep(0.02)


def forget_another(cluster: LocalCluster, client: Pymonik, left: int) -> None:
    """Have something deleted that is forgotten now, so that all before it would be gone as well."""
    client.put(np.zeros(SIZE, dtype=np.uint8))
    wait_for(cluster.storage_folder, left)


def test_arguments_go_with_their_task(cluster: LocalCluster, client: Pymonik) -> None:
    handles = [size_of.invoke(np.zeros(SIZE, dtype=np.uint8)) for _ in range(5)]
    assert [one.get() for one in handles] == [SIZE] * 5
    wait_for(cluster.storage_folder, 0)


def test_arguments_of_what_fails_stay_for_who_sends_it_again() -> None:
    with LocalCluster(workers=1) as own, Pymonik(own):
        failed = size_of.invoke(np.zeros(SIZE, dtype=np.uint8), -1)
        assert failed.exception(WAIT_S) is not None
        wait_for(own.storage_folder, 1)
        assert size_of.invoke(np.zeros(SIZE, dtype=np.uint8)).get(WAIT_S) == SIZE
        wait_for(own.storage_folder, 1)


def test_results_go_with_their_handles(cluster: LocalCluster, client: Pymonik) -> None:
    handles = [zeros.invoke(SIZE) for _ in range(5)]
    arrays = [one.get() for one in handles]
    wait_for(cluster.storage_folder, 5)
    del handles[1:]
    wait_for(cluster.storage_folder, 1)
    assert [one.nbytes for one in arrays] == [SIZE] * 5  # they stay
    assert handles[0].get().nbytes == SIZE


def test_results_that_nobody_waited_for_go_too(cluster: LocalCluster, client: Pymonik) -> None:
    zeros.invoke(SIZE)
    assert size_of.invoke(zeros.invoke(SIZE)).get() == SIZE
    wait_for(cluster.storage_folder, 0)


def test_values_that_were_put_go_with_their_handles(cluster: LocalCluster, client: Pymonik) -> None:
    for _ in range(5):
        assert size_of.invoke(client.put(np.zeros(SIZE, dtype=np.uint8))).get() == SIZE
    wait_for(cluster.storage_folder, 0)


def test_a_stream_of_results_takes_the_room_of_those_that_are_consumed(
    cluster: LocalCluster, client: Pymonik
) -> None:
    number = 0
    for handle in zeros.map_invoke(SIZE for _ in range(40)).as_completed():
        number += handle.get().nbytes == SIZE
    del handle
    assert number == 40
    wait_for(cluster.storage_folder, 0)


def test_a_result_stays_for_a_call_that_waits(cluster: LocalCluster, client: Pymonik) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        server.settimeout(WAIT_S)
        value = zeros.invoke(SIZE).wait(WAIT_S)
        blocked = [size_of.invoke(np.zeros(1), port) for _ in range(2)]  # all workers
        connections = [server.accept()[0] for _ in blocked]
        waits = size_of.invoke(value)
        client.send()
        del value
        forget_another(cluster, client, 1)
        for one in connections:
            one.close()
    assert waits.result(WAIT_S) == SIZE
    wait_for(cluster.storage_folder, 0)


def test_a_result_stays_for_calls_that_were_given_away(
    cluster: LocalCluster, client: Pymonik
) -> None:
    value: ResultHandle[Any] = client.put(np.zeros(SIZE, dtype=np.uint8))
    size_after.map_invoke([(value, 0.0)] * 40).get()  # they are short, as far as is known
    handles = size_after.map_invoke([(value, 2.0 if one == 10 else 0.0) for one in range(400)])
    handles[0].wait(WAIT_S)
    del value
    forget_another(cluster, client, 1)
    assert set(handles.get()) == {SIZE}
    wait_for(cluster.storage_folder, 0)


def test_a_cancelled_call_leaves_its_neighbours_their_inputs(
    cluster: LocalCluster, client: Pymonik
) -> None:
    values: MultiResultHandle[Any] = client.put_many(
        [np.zeros(SIZE, dtype=np.uint8) for _ in range(8)]
    )
    handles = size_after.map_invoke([(one, 0.2) for one in values], chunk_size=8)
    client.send()
    handles[5].cancel()
    del values
    forget_another(cluster, client, 8)
    assert [one.result(WAIT_S) for number, one in enumerate(handles) if number != 5] == [SIZE] * 7
    wait_for(cluster.storage_folder, 0)


def test_a_pickled_handle_keeps_the_data(cluster: LocalCluster) -> None:
    before = stored(cluster.storage_folder)
    with Pymonik(cluster) as client:
        data = pickle.dumps(zeros.invoke(SIZE).wait(WAIT_S))
        dropped = zeros.invoke(SIZE).wait(WAIT_S)
        del dropped
        handle: ResultHandle[Any] = pickle.loads(data)
        assert handle.get().nbytes == SIZE
        assert size_of.invoke(handle, pymonik=client).get() == SIZE
        del handle
    # What was forgotten is deleted by now. Nobody knows what the pickle refers to.
    assert stored(cluster.storage_folder) == before + 2


def test_whoever_reads_an_id_may_ask_by_it(cluster: LocalCluster) -> None:
    before = stored(cluster.storage_folder)
    with Pymonik(cluster):
        result_id = zeros.invoke(SIZE).wait(WAIT_S).result_id
        gc.collect()
        assert _is_large(cluster.storage_folder / result_id)
        assert size_of.invoke(np.zeros(1)).get() == 8
    assert stored(cluster.storage_folder) == before + 1
