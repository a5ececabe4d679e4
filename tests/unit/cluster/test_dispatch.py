"""What runners get, where the world does not do as it should."""

from __future__ import annotations

import errno
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from pymonik.cluster.control_plane import ControlPlane
from pymonik.cluster.dispatch import MOST_BYTES, Dispatch
from pymonik.cluster.locked_state import LockedState
from pymonik.cluster.state.rows import Partition, TaskStatus
from pymonik.cluster.state.submission import TaskCreation
from pymonik.cluster.state.work import TaskOptions
from pymonik.cluster.storage import SMALL, Storage

if TYPE_CHECKING:
    import pytest

    from pymonik.cluster.state.rows import Result


def test_a_task_whose_input_has_no_room_fails_and_the_next_one_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Storage(tmp_path / "objects")
    state = LockedState([Partition("P")], storage, default_partition="P")
    control, dispatch = ControlPlane(state, storage), Dispatch(state, storage)
    session_id = control.create_session(TaskOptions(timedelta(60), 0, 1, "P"), ["P"]).session_id
    rows = [("", False, b"payload"), ("", False, b"payload"), ("", False, b"input")]
    *payloads, needed = control.create_results(session_id, rows, _id)
    creations = [TaskCreation(payloads[0], (), (needed,)), TaskCreation(payloads[1])]
    first, second = control.submit(session_id, None, creations)

    def full(_opaque_id: str) -> str:
        raise OSError(errno.ENOSPC, "no space left")

    storage.first_use(needed)  # from now on it needs a file
    monkeypatch.setattr(storage, "file", full)
    monkeypatch.setattr(storage, "held", lambda _opaque_id: None)
    given = dispatch.acquire("P", pod_id="pod", hostname="", on_cancel=lambda _: None)
    assert given is not None
    assert given.task_id == second.task_id
    assert first.status is TaskStatus.ERROR
    assert "an input cannot be had" in first.error
    state.close()


def test_an_input_in_memory_that_has_no_room_as_a_file_comes_as_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Storage(tmp_path / "objects")
    state = LockedState([Partition("P")], storage, default_partition="P")
    control, dispatch = ControlPlane(state, storage), Dispatch(state, storage)
    session_id = control.create_session(TaskOptions(timedelta(60), 0, 1, "P"), ["P"]).session_id
    rows = [("", False, b"payload"), ("", False, b"input")]
    payload, needed = control.create_results(session_id, rows, _id)
    control.submit(session_id, None, [TaskCreation(payload, (), (needed,))])

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    storage.first_use(needed)  # from now on it needs a file
    monkeypatch.setattr("pymonik.content.objects.store", full)
    given = dispatch.acquire("P", pod_id="pod", hostname="", on_cancel=lambda _: None)
    assert given is not None
    assert given.data[needed] == b"input"
    state.close()


def test_small_inputs_come_as_bytes_up_to_a_bound(tmp_path: Path) -> None:
    storage = Storage(tmp_path / "objects")
    state = LockedState([Partition("P")], storage, default_partition="P")
    control, dispatch = ControlPlane(state, storage), Dispatch(state, storage)
    session_id = control.create_session(TaskOptions(timedelta(60), 0, 1, "P"), ["P"]).session_id
    rows = [("", False, bytes(MOST_BYTES // 4)) for _ in range(7)]
    payload, *needed = control.create_results(session_id, rows, _id)
    large = control.create_results(session_id, [("", False, bytes(SMALL + 1))], _id)
    control.submit(session_id, None, [TaskCreation(payload, (), (*needed, *large))])
    given = dispatch.acquire("P", pod_id="pod", hostname="", on_cancel=lambda _: None)
    assert given is not None
    assert given.data.keys() == {payload, *needed[:4]}
    assert given.files.keys() == {*needed[4:], *large}
    assert all(Path(file).stat().st_size >= MOST_BYTES // 4 for file in given.files.values())
    state.close()


def _id(row: Result) -> str:
    return row.result_id
