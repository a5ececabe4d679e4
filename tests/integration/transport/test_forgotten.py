"""A closed session of the program's own cluster is deleted once nothing can ask for its results."""

from __future__ import annotations

import gc
import pickle
import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from pymonik import Pymonik, task
from pymonik.session.current import activate
from pymonik.transport.forgotten import ForgottenSessions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.parametrize("cluster", ["direct"], indirect=True)

WAIT_S = 20.0


@task
def add(a: int, b: int) -> int:
    return a + b


@pytest.fixture
def forgotten(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[ForgottenSessions]:
    """The cluster of this test, taken for the embedded one of this process."""
    cluster.is_alive = lambda: True
    cluster.start_runner()
    one = ForgottenSessions()
    monkeypatch.setattr("pymonik.client.place._shared_cluster", lambda: cluster)
    monkeypatch.setattr("pymonik.client.opening.forgotten", one)
    monkeypatch.delenv("AKCONFIG", raising=False)
    yield one
    one.join()


@pytest.fixture
def sessions(cluster: Any, forgotten: ForgottenSessions) -> Callable[[], set[str]]:
    """Those that the cluster has, once another one was opened and what is forgotten deleted."""

    def left() -> set[str]:
        gc.collect()
        with Pymonik():
            forgotten.join()
        with cluster.control_plane.reading() as state:
            assert state.tasks_of.keys() <= state.sessions.keys()
            return set(state.sessions)

    return left


def test_a_session_is_kept_as_long_as_one_of_its_handles(
    cluster: Any, sessions: Callable[[], set[str]]
) -> None:
    with Pymonik() as client:
        handles = [add.invoke(one, one) for one in range(10)]
        session_id = client.session_id
    last = handles.pop()
    del handles
    assert session_id in sessions()
    assert last.get() == 18
    del last
    assert session_id not in sessions()
    with cluster.control_plane.reading() as state:
        assert not state.tasks


def test_a_session_needs_no_cycle_to_be_collected(forgotten: ForgottenSessions) -> None:
    with Pymonik() as client:
        assert add.invoke(1, 2).get() == 3
        seen = weakref.ref(client.session)
    gc.collect()
    gc.disable()
    try:
        with Pymonik() as client:
            assert add.invoke(1, 2).get() == 3
            seen = weakref.ref(client.session)
            assert add.map_invoke([(one, one) for one in range(100)]).get()[7] == 14
            del client
        assert seen() is None
    finally:
        gc.enable()


def test_an_open_session_is_not_forgotten(sessions: Callable[[], set[str]]) -> None:
    client = Pymonik().create()
    session_id = client.session_id
    kept = client.session
    del client
    assert session_id in sessions()
    activate(None)
    kept.close()


def test_inputs_are_kept_for_the_session_that_reads_them(
    cluster: Any, sessions: Callable[[], set[str]]
) -> None:
    with Pymonik() as first:
        three = add.invoke(1, 2)
        session_id = first.session_id
    second = Pymonik().create()
    cluster.held.clear()
    five = add.invoke(three, 2, pymonik=second)
    del three
    try:
        assert session_id in sessions()
    finally:
        cluster.held.set()
    assert five.wait(WAIT_S).get() == 5
    second.close()
    del five
    assert session_id not in sessions()


def test_a_pickled_handle_keeps_its_session(sessions: Callable[[], set[str]]) -> None:
    with Pymonik():
        data = pickle.dumps(add.invoke(1, 2))
    handle = pickle.loads(data)
    assert handle.session_id in sessions()
    with Pymonik():
        assert add.invoke(handle, 1).wait(WAIT_S).get() == 4


def test_a_session_whose_tasks_run_is_deleted_later(
    cluster: Any, sessions: Callable[[], set[str]]
) -> None:
    cluster.held.clear()
    client = Pymonik().create()
    session_id = client.session_id
    add.invoke(1, 2)
    client.send()
    poll(cluster, lambda state: any(one.owner_pod_id for one in state.tasks.values()))
    client.close(wait=False)
    assert session_id in sessions()
    cluster.held.set()
    poll(cluster, lambda state: all(one.ended_at for one in state.tasks.values()))
    assert session_id not in sessions()


def poll(cluster: Any, condition: Callable[[Any], bool]) -> None:
    done = threading.Event()
    for _ in range(int(WAIT_S / 0.01)):
        with cluster.control_plane.reading() as state:
            if condition(state):
                return
        done.wait(0.01)
    raise AssertionError("it did not happen")


def test_the_session_of_another_cluster_is_never_deleted(
    cluster: Any, forgotten: ForgottenSessions
) -> None:
    with Pymonik(cluster.endpoint) as client:
        assert add.invoke(1, 2).get() == 3
        session_id = client.session_id
    del client
    gc.collect()
    assert not forgotten._ids
    with cluster.control_plane.reading() as state:
        assert session_id in state.sessions
