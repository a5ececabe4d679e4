"""Nothing of a session is left once it is deleted: rows, indexes, queues, files, objects."""

from __future__ import annotations

import gc
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from pymonik.cluster.control_plane import ControlPlane
from pymonik.cluster.dispatch import Dispatch
from pymonik.cluster.event_hub import Interest
from pymonik.cluster.locked_state import LockedState
from pymonik.cluster.services.fields import RESULTS, TASKS
from pymonik.cluster.services.filters import Query
from pymonik.cluster.state import sessions
from pymonik.cluster.state.rows import Kind, Partition, Result, Session, Task
from pymonik.cluster.state.submission import TaskCreation
from pymonik.cluster.state.work import Failed, Lost, Outcome, Start, Succeeded, TaskOptions
from pymonik.cluster.storage import Storage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OPTIONS = TaskOptions(timedelta(seconds=60), 2, 1, "P")


class Cluster:
    """What clients and runners ask, and what is behind it."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.storage = Storage(folder / "objects")
        partitions = [Partition("P"), Partition("Q")]
        self.state = LockedState(partitions, self.storage, default_partition="P", **settings)
        self.control = ControlPlane(self.state, self.storage)
        self.dispatch = Dispatch(self.state, self.storage)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    one = Cluster(tmp_path)
    yield one
    one.state.close()


def new_results(
    control: ControlPlane, session_id: str, count: int, data: bytes | None
) -> list[str]:
    rows = [("a name", False, data)] * count
    return control.create_results(session_id, rows, lambda result: result.result_id)


def submit(control: ControlPlane, session_id: str, count: int) -> list[str]:
    payloads = new_results(control, session_id, count, b"payload")
    outputs = new_results(control, session_id, count, None)
    creations = [TaskCreation(*pair) for pair in zip(payloads, ([o] for o in outputs), strict=True)]
    control.submit(session_id, None, creations)
    return outputs


def run(dispatch: Dispatch, outcome: Outcome | None) -> str:
    task = dispatch.acquire("P", pod_id="pod", hostname="", on_cancel=lambda _: None)
    assert task is not None
    assert dispatch.start(task.task_id, pod_id="pod") is Start.RUN
    if isinstance(outcome, Succeeded):
        outcome = Succeeded(data=dict.fromkeys(task.expected_output_ids, b"output"))
    if outcome is not None:
        dispatch.finish(task.task_id, outcome)
    return task.task_id


def busy_session(cluster: Cluster) -> tuple[str, str]:
    """A session with tasks that wait, are queued, run, and have ended in every way; one runs."""
    control = cluster.control
    session_id = control.create_session(OPTIONS, ["P", "Q"]).session_id
    outputs = submit(control, session_id, 20)
    payload = new_results(control, session_id, 1, b"payload")[0]
    control.submit(session_id, None, [TaskCreation(payload, (), outputs)])
    for outcome in (Succeeded(), Failed("no"), Lost("gone"), Lost("gone")):
        run(cluster.dispatch, outcome)
    return session_id, run(cluster.dispatch, None)


def rows_of(session_id: str) -> list[object]:
    gc.collect()
    rows = (one for one in gc.get_objects() if isinstance(one, Task | Result | Session))
    return [one for one in rows if one.session_id == session_id]


def test_deleting_a_session_leaves_no_object_of_it(cluster: Cluster) -> None:
    subscription = cluster.control.subscribe(
        Interest("another", Query(TASKS, None), Query(RESULTS, None), frozenset(Kind))
    )
    session_id, running = busy_session(cluster)
    assert len(rows_of(session_id)) > 60
    cluster.control.change_session(sessions.delete, session_id, lambda _: None)
    cluster.dispatch.finish(running, Succeeded())  # its runner was told to stop, and was too late
    subscription.cancel()
    with cluster.control.reading() as state:
        tables = [state.sessions, state.tasks, state.results, state.tasks_of, state.results_of]
        assert not any(tables)
        assert not state._references
        assert not any(queue._entries for queue in state.queues.values())
        assert not any(vars_of(state.effects))
    assert not cluster.state.on_cancel
    assert not cluster.state._hub._subscriptions
    assert list(cluster.storage.folder.iterdir()) == []
    assert (cluster.storage._held, cluster.storage._held_bytes) == ({}, 0)
    assert rows_of(session_id) == []


def vars_of(effects: object) -> list[object]:
    return [getattr(effects, name) for name in effects.__slots__]  # type: ignore[attr-defined]


def test_purging_a_session_leaves_no_file(cluster: Cluster) -> None:
    control = cluster.control
    session_id, running = busy_session(cluster)
    cluster.dispatch.finish(running, Succeeded(data={}))
    control.change_session(sessions.close, session_id, lambda _: None)
    control.change_session(sessions.purge, session_id, lambda _: None)
    assert list(cluster.storage.folder.iterdir()) == []
    assert (cluster.storage._held, cluster.storage._held_bytes) == ({}, 0)
    with control.reading() as state:
        assert not state._references


def test_tables_shrink_with_what_is_in_them(tmp_path: Path) -> None:
    shrunk: list[None] = []
    cluster = Cluster(tmp_path, on_shrunk=lambda: shrunk.append(None))
    control = cluster.control
    sizes = [1_000] * 5 + [10]
    session_ids = [control.create_session(OPTIONS, ["P"]).session_id for _ in sizes]
    for session_id, size in zip(session_ids, sizes, strict=True):
        new_results(control, session_id, size, b"payload")
    with control.reading() as state:
        tables: list[dict[str, Any]] = [state.results, state._references]
        full = [sys.getsizeof(table) for table in tables]
    for number, session_id in enumerate(session_ids[:5]):
        # Only once as many are gone as are left: each time costs what the rows that are left cost.
        assert len(shrunk) == (number >= 3)
        control.change_session(sessions.delete, session_id, lambda _: None)
    assert len(shrunk) == 2
    assert [len(table) for table in tables] == [10, 10]
    assert all(sys.getsizeof(table) < size / 50 for table, size in zip(tables, full, strict=True))
    cluster.state.close()


def test_data_in_memory_leave_no_room_behind(cluster: Cluster) -> None:
    control = cluster.control
    session_id = control.create_session(OPTIONS, ["P"]).session_id
    rows = [("a name", False, b"payload")] * 1_000
    control.create_results(session_id, rows, lambda _: None)
    assert len(cluster.storage._held) == 1_000
    control.change_session(sessions.delete, session_id, lambda _: None)
    assert sys.getsizeof(cluster.storage._held) == sys.getsizeof({})
