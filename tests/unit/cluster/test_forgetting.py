"""Nothing of a session is left once it is deleted: rows, indexes, queues, files, objects."""

from __future__ import annotations

import gc
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from pymonik.cluster.control_plane import ControlPlane
from pymonik.cluster.events import Interest
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


@pytest.fixture
def control(tmp_path: Path) -> Iterator[ControlPlane]:
    one = ControlPlane(
        [Partition("P"), Partition("Q")], Storage(tmp_path / "objects"), default_partition="P"
    )
    yield one
    one.close()


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


def run(control: ControlPlane, outcome: Outcome | None) -> str:
    task = control.acquire("P", pod_id="pod", hostname="", on_cancel=lambda _: None)
    assert task is not None
    assert control.start(task.task_id, pod_id="pod") is Start.RUN
    if isinstance(outcome, Succeeded):
        outcome = Succeeded(data=dict.fromkeys(task.expected_output_ids, b"output"))
    if outcome is not None:
        control.finish(task.task_id, outcome)
    return task.task_id


def busy_session(control: ControlPlane) -> tuple[str, str]:
    """A session with tasks that wait, are queued, run, and have ended in every way; one runs."""
    session_id = control.create_session(OPTIONS, ["P", "Q"]).session_id
    outputs = submit(control, session_id, 20)
    payload = new_results(control, session_id, 1, b"payload")[0]
    control.submit(session_id, None, [TaskCreation(payload, (), outputs)])
    for outcome in (Succeeded(), Failed("no"), Lost("gone"), Lost("gone")):
        run(control, outcome)
    return session_id, run(control, None)


def rows_of(session_id: str) -> list[object]:
    gc.collect()
    rows = (one for one in gc.get_objects() if isinstance(one, Task | Result | Session))
    return [one for one in rows if one.session_id == session_id]


def test_deleting_a_session_leaves_no_object_of_it(control: ControlPlane) -> None:
    subscription = control.subscribe(
        Interest("another", Query(TASKS, None), Query(RESULTS, None), frozenset(Kind))
    )
    session_id, running = busy_session(control)
    assert len(rows_of(session_id)) > 60
    control.change_session(sessions.delete, session_id, lambda _: None)
    control.finish(running, Succeeded())  # its runner was told to stop, and was too late
    subscription.cancel()
    with control.reading() as state:
        tables = [state.sessions, state.tasks, state.results, state.tasks_of, state.results_of]
        assert not any(tables)
        assert not state._references
        assert not any(queue._entries for queue in state.queues.values())
        assert not any(vars_of(state.effects))
    assert not control._on_cancel
    assert not control._hub._subscriptions
    assert list(control.storage.folder.iterdir()) == []
    assert (control.storage._held, control.storage._held_bytes) == ({}, 0)
    assert rows_of(session_id) == []


def vars_of(effects: object) -> list[object]:
    return [getattr(effects, name) for name in effects.__slots__]  # type: ignore[attr-defined]


def test_purging_a_session_leaves_no_file(control: ControlPlane) -> None:
    session_id, running = busy_session(control)
    control.finish(running, Succeeded(data={}))
    control.change_session(sessions.close, session_id, lambda _: None)
    control.change_session(sessions.purge, session_id, lambda _: None)
    assert list(control.storage.folder.iterdir()) == []
    assert (control.storage._held, control.storage._held_bytes) == ({}, 0)
    with control.reading() as state:
        assert not state._references


def test_tables_shrink_with_what_is_in_them(tmp_path: Path) -> None:
    shrunk: list[None] = []
    control = ControlPlane(
        [Partition("P")], Storage(tmp_path / "objects"), on_shrunk=lambda: shrunk.append(None)
    )
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
    control.close()


def test_payloads_in_memory_leave_no_room_for_more(control: ControlPlane) -> None:
    session_id = control.create_session(OPTIONS, ["P"]).session_id
    rows = [("a name", False, b"payload")] * 1_000
    control.create_results(session_id, rows, lambda _: None, for_workers=True)
    assert len(control.storage._held) == 1_000
    control.change_session(sessions.delete, session_id, lambda _: None)
    assert sys.getsizeof(control.storage._held) == sys.getsizeof({})
