"""What runners get, where the world does not do as it should."""

from __future__ import annotations

import errno
from datetime import timedelta
from typing import TYPE_CHECKING

from pymonik.cluster.control_plane import ControlPlane
from pymonik.cluster.dispatch import Dispatch
from pymonik.cluster.locked_state import LockedState
from pymonik.cluster.state.rows import Partition, TaskStatus
from pymonik.cluster.state.submission import TaskCreation
from pymonik.cluster.state.work import TaskOptions
from pymonik.cluster.storage import Storage

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_task_whose_input_has_no_room_fails_and_the_next_one_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Storage(tmp_path / "objects")
    state = LockedState([Partition("P")], storage, default_partition="P")
    control, dispatch = ControlPlane(state, storage), Dispatch(state, storage)
    session_id = control.create_session(TaskOptions(timedelta(60), 0, 1, "P"), ["P"]).session_id
    rows = [("", False, b"payload"), ("", False, b"payload"), ("", False, b"input")]
    *payloads, needed = control.create_results(session_id, rows, lambda row: row.result_id)
    creations = [TaskCreation(payloads[0], (), (needed,)), TaskCreation(payloads[1])]
    first, second = control.submit(session_id, None, creations)

    def full(_opaque_id: str) -> str:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(storage, "file", full)
    given = dispatch.acquire("P", pod_id="pod", hostname="", on_cancel=lambda _: None)
    assert given is not None
    assert given.task_id == second.task_id
    assert first.status is TaskStatus.ERROR
    state.close()
