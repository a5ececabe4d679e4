"""What a cluster keeps on a disk, and what becomes of it in the next one."""

from __future__ import annotations

import errno
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from pymonik.cluster import journal as journal_module
from pymonik.cluster.control_plane import ControlPlane
from pymonik.cluster.dispatch import Dispatch
from pymonik.cluster.event_hub import Interest
from pymonik.cluster.journal import FILE, Journal
from pymonik.cluster.locked_state import LockedState
from pymonik.cluster.services.fields import RESULTS, TASKS
from pymonik.cluster.services.filters import Query
from pymonik.cluster.state import sessions
from pymonik.cluster.state.faults import NoRoom, NotKept
from pymonik.cluster.state.rows import (
    Kind,
    Partition,
    Result,
    ResultStatus,
    SessionStatus,
    TaskStatus,
)
from pymonik.cluster.state.submission import TaskCreation
from pymonik.cluster.state.work import NewResult, NewTask, Succeeded
from pymonik.cluster.storage import Storage
from pymonik.errors import ConfigError
from tests.unit.cluster.conftest import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pymonik.cluster.state.rows import Session

LARGE = b"x" * 100_000


class Kept:
    """The parts of a cluster that keeps its rows; `killed` gives one that comes after it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.journal = Journal(folder, lambda one: self.storage.held(one))
        self.storage = Storage(folder / "objects")
        self.locked = LockedState(
            [Partition("P")], self.storage, default_partition="P", journal=self.journal
        )
        self.control = ControlPlane(self.locked, self.storage)
        self.dispatch = Dispatch(self.locked, self.storage)

    def killed(self, name: str = "again") -> Kept:
        """A cluster with what is on the disk now; this one does not get to end anything."""
        copy = self.folder.with_name(name)
        shutil.copytree(self.folder, copy)
        return Kept(copy)

    def session(self) -> str:
        return str(self.control.create_session(OPTIONS, ("P",)).session_id)

    def change(self, transition: Callable[..., Session], session: str) -> None:
        self.control.change_session(transition, session, lambda one: one)

    def result(self, session: str, data: bytes | None = None, *, manual: bool = False) -> str:
        (made,) = self.control.create_results(
            session, [("name", manual, data)], lambda one: one.result_id
        )
        return str(made)

    def task(self, session: str, payload: str, output: str, *needs: str) -> str:
        creation = TaskCreation(payload, [output], list(needs))
        (task,) = self.control.submit(session, None, [creation])
        return task.task_id

    def run(self) -> str:
        taken = self.dispatch.acquire("P", pod_id="p", hostname="h", on_cancel=lambda _: None)
        assert taken is not None
        self.dispatch.start(taken.task_id, pod_id="p")
        return taken.task_id

    def data(self, result: str) -> bytes:
        return b"".join(self.control.download(result, 1 << 16))


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "data")


def test_results_come_back_with_their_bytes(kept: Kept) -> None:
    session = kept.session()
    small, large = kept.result(session, b"small", manual=True), kept.result(session, LARGE)
    empty = kept.result(session)
    again = kept.killed()
    assert (again.data(small), again.data(large)) == (b"small", LARGE)
    with again.locked.reading() as state:
        assert state.results[small].manual_deletion
        assert state.results[empty].status is ResultStatus.CREATED


def test_what_was_deleted_stays_deleted(kept: Kept) -> None:
    session, gone = kept.session(), kept.session()
    small, large = kept.result(session, b"small"), kept.result(session, LARGE)
    kept.result(gone, b"with its session")
    kept.control.delete_data([small, large])
    kept.change(sessions.delete, gone)
    again = kept.killed()
    with again.locked.reading() as state:
        assert {state.results[one].status for one in (small, large)} == {ResultStatus.DELETED}
        assert list(state.sessions) == [session]
        assert len(state.results) == 2
    assert not any(path.is_file() for path in (again.folder / "objects").iterdir())


def test_tasks_wait_and_run_as_before(kept: Kept) -> None:
    session = kept.session()
    payload = kept.result(session, b"payload")
    first, second, third = (kept.result(session) for _ in range(3))
    done = kept.task(session, payload, first)
    assert kept.run() == done
    kept.dispatch.finish(done, Succeeded(data={first: b"one"}), pod_id="p")
    running = kept.task(session, payload, second, first)
    assert kept.run() == running
    waits = kept.task(session, payload, third, second)
    again = kept.killed()
    with again.locked.reading() as state:
        assert state.tasks[done].status is TaskStatus.COMPLETED
        assert state.tasks[running].status is TaskStatus.SUBMITTED
        assert state.tasks[waits].status is TaskStatus.PENDING
    assert again.run() == running  # once more
    again.dispatch.finish(running, Succeeded(data={second: b"two"}), pod_id="p")
    assert again.run() == waits
    assert (again.data(first), again.data(second)) == (b"one", b"two")


def test_each_task_names_its_ancestors_and_the_file_only_the_last_of_them(kept: Kept) -> None:
    session = kept.session()
    sizes, before = [], 0
    running = kept.task(session, kept.result(session, b"payload"), kept.result(session))
    ancestors = [session]
    for number in range(40):
        assert kept.run() == running
        names = [f"{kind}{number}" for kind in ("payload", "output", "task")]
        payload, output, task = (f"{name}-0000-4000-8000" for name in names)
        made = Succeeded(
            created=[NewResult(payload), NewResult(output)],
            data={payload: b"payload"},
            tasks=[NewTask(task, payload, [output], [], OPTIONS)],
        )
        kept.dispatch.finish(running, made, pod_id="p")
        ancestors.append(running)
        running = task
        size = (kept.folder / FILE).stat().st_size
        sizes.append(size - before)
        before = size
    assert abs(sizes[-1] - sizes[5]) < 100
    for cluster in (kept, kept.killed(), kept.killed("later")):
        with cluster.locked.reading() as state:
            assert list(state.tasks[running].parent_task_ids) == ancestors


def test_the_states_of_sessions_come_back(kept: Kept) -> None:
    ids = [kept.session() for _ in range(4)]
    kept.change(sessions.pause, ids[1])
    kept.change(sessions.close, ids[2])
    kept.change(sessions.cancel, ids[3])
    with kept.killed().locked.reading() as state:
        assert [state.sessions[one].status for one in ids] == [
            SessionStatus.RUNNING,
            SessionStatus.PAUSED,
            SessionStatus.CLOSED,
            SessionStatus.CANCELLED,
        ]
        assert not state.sessions[ids[2]].client_submission
        assert state.sessions[ids[2]].duration is not None


def test_a_task_that_is_being_cancelled_is_ended_by_whoever_takes_it(kept: Kept) -> None:
    session = kept.session()
    output = kept.result(session)
    task = kept.task(session, kept.result(session, b"payload"), output)
    kept.run()
    kept.control.cancel_tasks([task], lambda one: one)
    again = kept.killed()
    with again.locked.reading() as state:
        assert state.tasks[task].status is TaskStatus.CANCELLING
        assert len(state.queues["P"]) == 1


def test_all_fields_of_rows_come_back(kept: Kept) -> None:
    session = kept.session()
    output = kept.result(session)
    task = kept.task(session, kept.result(session, b"payload"), output)
    kept.run()
    kept.dispatch.finish(task, Succeeded(data={output: b"one"}), pod_id="p")
    again = kept.killed()
    with kept.locked.reading() as before, again.locked.reading() as after:
        for name in ("sessions", "tasks", "results"):
            for key, row in getattr(before, name).items():
                other = getattr(after, name)[key]
                for field in row.__slots__:
                    if field not in ("recent", "number"):
                        assert getattr(other, field) == getattr(row, field), (name, field)


def test_a_frame_that_was_cut_is_left_out(kept: Kept) -> None:
    session = kept.session()
    whole = kept.result(session, b"whole")
    size = (kept.folder / FILE).stat().st_size
    kept.result(session, b"cut")
    for cut in (size + 1, size + 7, size + 20):
        copy = kept.folder.with_name(f"cut {cut}")
        shutil.copytree(kept.folder, copy)
        with (copy / FILE).open("rb+") as file:
            file.truncate(cut)
        again = Kept(copy)
        assert again.data(whole) == b"whole"
        added = again.result(session, b"added")  # it is written behind what was whole
        assert again.killed(f"after {cut}").data(added) == b"added"


def test_the_file_does_not_grow_for_ever(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pymonik.cluster.journal._SMALLEST", 20_000)
    monkeypatch.setattr("pymonik.cluster.journal._ROOM", 1_000)
    session = kept.session()
    last = ""
    for _ in range(300):
        last = kept.result(session, b"x" * 1_000)
        kept.control.delete_data([last])
    stays = kept.result(session, b"stays")
    assert (kept.folder / FILE).stat().st_size < 150_000
    again = kept.killed()
    assert again.data(stays) == b"stays"
    with again.locked.reading() as state:
        assert state.results[last].status is ResultStatus.DELETED


class Disk:
    """What the system says when files are written: nothing, or that there is no room."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.is_full = self.has_reserve = False
        write, allocate = journal_module._write, os.posix_fallocate

        def written(descriptor: int, frame: bytes) -> int:
            if self.is_full and not self.has_reserve:
                os.write(descriptor, frame[: len(frame) // 2])  # as much as there was room for
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return write(descriptor, frame)

        def allocated(descriptor: int, offset: int, size: int) -> None:
            if self.is_full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            allocate(descriptor, offset, size)

        patch.setattr(journal_module, "_write", written)
        patch.setattr(os, "posix_fallocate", allocated)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def test_a_full_disk_refuses_what_could_not_be_kept(
    disk: Disk, kept: Kept, caplog: pytest.LogCaptureFixture
) -> None:
    session = kept.session()
    before = kept.result(session, b"before")
    kept.locked.close()  # nothing is tried again by itself
    disk.is_full = disk.has_reserve = True
    made = [before]
    more = (kept.result(session, b"x" * 10_000) for _ in range(1_000))
    with pytest.raises(NoRoom, match=r"No space left on device.*rows\.log") as refused:
        made.extend(more)  # what was reserved is used up first
    assert not isinstance(refused.value, NotKept)
    with pytest.raises(NoRoom):
        kept.control.submit(session, None, [TaskCreation("", [before])], payloads=[b"p" * 10_000])
    with kept.locked.reading() as state:  # nothing of it has happened
        assert (list(state.results), list(state.tasks)) == (made, [])
    assert kept.killed("all").data(made[-1]) == b"x" * 10_000
    disk.has_reserve = False
    with pytest.raises(NotKept) as missed:  # it was not asked whether there is room for it
        kept.change(sessions.pause, session)
    assert "once there is room" in missed.value.detail
    assert "rows.log" in missed.value.detail
    with pytest.raises(NoRoom):
        kept.session()
    assert len([one for one in caplog.records if one.levelname == "ERROR"]) == 1
    assert kept.killed("unwritten").locked._state.sessions[session].status is SessionStatus.RUNNING
    disk.is_full = False
    after = kept.result(session, b"after")
    again = kept.killed()
    assert (again.data(before), again.data(after)) == (b"before", b"after")
    with again.locked.reading() as state:  # what was missed is written with the next
        assert state.sessions[session].status is SessionStatus.PAUSED


def test_nobody_hears_of_what_could_not_be_written(disk: Disk, kept: Kept) -> None:
    session = kept.session()
    payload, output = kept.result(session, b"payload"), kept.result(session)
    task = kept.task(session, payload, output)
    kept.run()
    interest = Interest(
        session, Query(TASKS, None), Query(RESULTS, None), frozenset({Kind.RESULT_STATUS})
    )
    news = iter(kept.control.subscribe(interest))
    disk.is_full = True
    kept.dispatch.finish(task, Succeeded(data={output: b"value"}), pod_id="p")
    assert not kept.locked._hub._subscriptions[session][0]._changes
    disk.is_full = False
    told = next(news)  # somebody looks for room without being asked
    assert isinstance(told.row, Result)
    assert (told.row.result_id, told.row.status) == (output, ResultStatus.COMPLETED)
    assert kept.killed().data(output) == b"value"


def test_what_is_deleted_makes_room_for_its_row(disk: Disk, kept: Kept) -> None:
    session = kept.session()
    large = kept.result(session, LARGE)
    path = kept.folder / "objects" / large
    assert path.exists()
    disk.is_full = True
    with pytest.raises(NotKept):
        kept.control.delete_data([large])
    assert not path.exists()
    disk.is_full = False
    kept.session()
    with kept.killed().locked.reading() as state:
        assert state.results[large].status is ResultStatus.DELETED


def test_what_ends_tasks_has_room_that_requests_have_left(disk: Disk, kept: Kept) -> None:
    session = kept.session()
    payload, output = kept.result(session, b"payload"), kept.result(session)
    task = kept.task(session, payload, output)
    kept.run()
    disk.is_full = disk.has_reserve = True
    kept.dispatch.finish(task, Succeeded(data={output: b"value"}), pod_id="p")
    assert kept.killed().data(output) == b"value"


def test_a_cluster_starts_on_a_full_disk_and_goes_on_when_there_is_room(
    disk: Disk, kept: Kept
) -> None:
    session = kept.session()
    small = kept.result(session, b"small")
    disk.is_full = True
    again = kept.killed()
    assert again.data(small) == b"small"
    with pytest.raises(NoRoom):
        again.session()
    disk.is_full = False
    more = again.result(session, b"more")
    third = again.killed("third")
    assert (third.data(small), third.data(more)) == (b"small", b"more")


def test_a_folder_has_one_cluster(kept: Kept) -> None:
    with pytest.raises(ConfigError, match="another cluster"):
        Journal(kept.folder, lambda _: None)
    kept.journal.close()
    Journal(kept.folder, lambda _: None).close()


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"")
    assert not Journal(tmp_path, lambda _: None).read().results


def test_a_folder_that_others_can_write_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(ConfigError, match="written by others"):
        Journal(tmp_path, lambda _: None)
