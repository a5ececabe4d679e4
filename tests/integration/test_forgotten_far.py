"""Far from its cluster too a result is deleted when the last handle of the program is gone."""

from __future__ import annotations

import gc
import pickle
import time
from collections.abc import Iterator
from typing import Any

import pytest

from pymonik import LocalCluster, Outputs, Pymonik, task

WAIT_S = 10.0


@task
def text(number: int) -> str:
    return f"text {number}"


@task
def join(*texts: str) -> str:
    return ", ".join(texts)


@task
def refuse(given: str) -> str:
    raise ValueError(given)


@task
def refuse_odd(number: int) -> int:
    if number % 2:
        raise ValueError(number)
    return number


@task(cache=True)
def remembered(number: int) -> int:
    return number


@task
def both(number: int) -> Any:
    return Outputs(small=number, large=bytes(2_000_000))


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(workers=2) as started:
        yield started


@pytest.fixture
def client(cluster: LocalCluster) -> Iterator[Pymonik]:
    with Pymonik(cluster.endpoint, on_unseen="ignore") as one:
        yield one


def left(client: Pymonik, *names: str) -> list[str]:
    """Names of values whose data are there, of those that are asked for.

    What no task has made are values that were put, and functions, which have names of tasks.
    """
    rows = [row for row in client.results() if row.name in names]
    own = ("value", "marker")
    nobody = ("", client.session_id)
    return sorted(row.name for row in rows if row.owner not in nobody or row.name in own)


def wait_until_left(client: Pymonik, names: list[str]) -> None:
    gc.collect()
    end = time.monotonic() + WAIT_S
    while (found := left(client, *{*names, "marker", "text", "value"})) != sorted(names):
        assert time.monotonic() < end, found
        time.sleep(0.05)


def wait_for_a_deletion(client: Pymonik) -> None:
    """Have something deleted that is forgotten now: all before it would be gone as well."""
    client.put(1, name="marker")
    end = time.monotonic() + WAIT_S
    gc.collect()
    while left(client, "marker"):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_results_go_with_their_last_handle(client: Pymonik) -> None:
    handles = [text.invoke(number) for number in range(4)]
    assert join.invoke(*handles).get(WAIT_S) == "text 0, text 1, text 2, text 3"
    wait_until_left(client, ["text"] * 4)
    del handles[1:]
    wait_until_left(client, ["text"])
    assert handles[0].get(WAIT_S) == "text 0"


def test_values_that_were_put_go_with_their_handles(client: Pymonik) -> None:
    value = client.put("a")
    assert join.invoke(value, client.put("b")).get(WAIT_S) == "a, b"
    wait_until_left(client, ["value"])
    assert value.get(WAIT_S) == "a"


def test_calls_of_one_task_keep_its_result_as_long_as_there_is_a_handle(client: Pymonik) -> None:
    handles = text.map_invoke(range(8), chunk_size=4)
    handles.wait(WAIT_S)
    last = handles[7]
    del handles
    wait_until_left(client, ["text"])
    assert last.get(WAIT_S) == "text 7"
    del last
    wait_until_left(client, [])


def test_an_input_stays_for_the_call_that_waits_for_it(client: Pymonik) -> None:
    handle = join.invoke(text.invoke(1), join.invoke(text.invoke(2), client.put("c")))
    wait_until_left(client, [])
    assert handle.get(WAIT_S) == "text 1, text 2, c"


def test_what_a_call_needs_that_failed_outlives_its_handles(client: Pymonik) -> None:
    failed = refuse.invoke(text.invoke(3))
    assert isinstance(failed.exception(WAIT_S), ValueError)
    del failed
    some = refuse_odd.map_invoke(range(4), chunk_size=4)
    assert some.get(WAIT_S, return_exceptions=True)[2] == 2
    del some
    wait_for_a_deletion(client)
    assert left(client, "text", "refuse_odd") == ["refuse_odd", "text"]


def test_what_others_may_ask_for_stays(client: Pymonik) -> None:
    pickled = pickle.dumps(text.invoke(5).wait(WAIT_S))
    text.invoke(6).wait(WAIT_S)
    gc.collect()
    assert pickle.loads(pickled).get(WAIT_S) == "text 5"
    assert left(client, "text") == ["text", "text"]


def test_values_of_the_cache_stay(cluster: LocalCluster) -> None:
    with Pymonik(cluster.endpoint):
        assert remembered.invoke(7).get(WAIT_S) == 7
        gc.collect()
    with Pymonik(cluster.endpoint):
        again = remembered.invoke(7)
        assert again.get(WAIT_S) == 7
        assert again.cache.hits == 1


def test_an_output_is_there_as_long_as_its_own_handle(client: Pymonik) -> None:
    large = both.invoke(1)["large"]
    gc.collect()
    wait_for_a_deletion(client)
    assert len(large.get(WAIT_S)) == 2_000_000


def test_sessions_with_names_keep_what_others_find_there(cluster: LocalCluster) -> None:
    with Pymonik(cluster.endpoint, session="kept here", on_exit="keep") as client:
        text.invoke(8).wait(WAIT_S)
        gc.collect()
        client.put(1, name="marker")
    with Pymonik(cluster.endpoint, session="kept here") as client:
        assert left(client, "text", "marker") == ["marker", "text"]
