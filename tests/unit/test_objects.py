"""Where the bytes of a large object lie: on the disk while that costs nobody any waiting."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from pymonik.content import objects

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pymonik.wire.containers import Buffer

LARGE = objects.LARGE
PAGE = os.sysconf("SC_PAGESIZE")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One that has another for large files."""
    folder = tmp_path / "memory"
    folder.mkdir()
    objects.add_large(folder, tmp_path / "disk")
    return folder


def _system(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, waiting: int, limit: int, room: bool = True
) -> None:
    state = f"nr_free_pages 7\nnr_dirty {waiting - 1}\nnr_writeback 1\n"
    (tmp_path / "vmstat").write_text(f"{state}nr_dirty_background_threshold {limit}\n")
    monkeypatch.setattr(objects, "_STATE", tmp_path / "vmstat")
    monkeypatch.setattr(objects, "_has_room", lambda _folder, _size: room)


def test_small_files_stay_and_large_ones_go_to_the_disk(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _system(monkeypatch, tmp_path, waiting=10, limit=10_000)
    assert objects.home(folder, LARGE - 1) == folder
    assert objects.home(folder, LARGE).samefile(tmp_path / "disk")


def test_all_stay_where_there_is_no_other_folder(tmp_path: Path) -> None:
    assert objects.home(tmp_path, 10 * LARGE) == tmp_path


@pytest.mark.parametrize(("total", "stays"), [(1 << 50, True), (8 * LARGE - 1, False)])
def test_the_largest_files_do_not_fill_the_memory(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, total: int, *, stays: bool
) -> None:
    has_room = objects._has_room
    _system(monkeypatch, tmp_path, waiting=1000, limit=1000)
    monkeypatch.setattr(objects, "_has_room", has_room)
    monkeypatch.setattr(objects, "_RESERVE", 0)
    monkeypatch.setattr(objects, "_memory", lambda: total)
    assert (objects.home(folder, LARGE) == folder) is stays


def test_large_files_stay_in_memory_while_the_disk_has_much_to_write(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pages = LARGE // PAGE
    _system(monkeypatch, tmp_path, waiting=1000, limit=1000 + pages)
    assert objects.home(folder, LARGE) == folder
    _system(monkeypatch, tmp_path, waiting=1000, limit=1001 + pages)
    assert objects.home(folder, LARGE) != folder


def test_but_not_when_memory_is_short(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _system(monkeypatch, tmp_path, waiting=1000, limit=1000, room=False)
    assert objects.home(folder, LARGE) != folder


def test_a_system_that_does_not_tell_has_them_in_memory(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _system(monkeypatch, tmp_path, waiting=1, limit=10_000)
    (tmp_path / "vmstat").write_text("nr_dirty 0\n")
    assert objects.home(folder, LARGE) == folder
    (tmp_path / "vmstat").unlink()
    assert objects.home(folder, LARGE) == folder


def test_memory_keeps_room_for_small_files(folder: Path) -> None:
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    assert not objects._has_room(folder, free)


def test_a_large_file_is_found_by_its_name(folder: Path, tmp_path: Path) -> None:
    disk = objects.large_folder(folder)
    (disk / "name").write_bytes(b"abc")
    objects.show(folder, disk, "name")
    assert (folder / "name").read_bytes() == b"abc"
    with pytest.raises(FileExistsError):
        objects.show(folder, disk, "name")
    assert [one.name for one in (tmp_path / "disk").iterdir()] == ["name"]


def test_a_folder_in_such_a_folder_has_one_for_large_files_too(
    folder: Path, tmp_path: Path
) -> None:
    objects.make(folder / "inner")
    assert objects.large_folder(folder / "inner").samefile(tmp_path / "disk" / "inner")
    objects.make(tmp_path / "plain" / "inner")
    assert list((tmp_path / "plain" / "inner").iterdir()) == []


@pytest.mark.parametrize("size", [1, 3, 4, 100])
def test_segments_are_cut_into_groups_of_one_size(size: int) -> None:
    groups = list(objects.cut([b"abc", b"", memoryview(b"defgh"), b"ij"], size))
    joined = [b"".join(group) for group in groups]
    assert b"".join(joined) == b"abcdefghij"
    assert all(len(one) == size for one in joined[:-1])
    assert list(objects.cut([b""], size)) == []


@pytest.mark.parametrize("most", [1, 7, 1 << 20])
def test_all_is_written_however_little_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    def writev(fd: int, parts: Sequence[Buffer]) -> int:
        assert len(parts) <= 512
        return os.write(fd, b"".join(parts)[:most])

    monkeypatch.setattr(objects, "_PORTION", 1000)
    monkeypatch.setattr(os, "writev", writev)
    segments: list[Buffer] = [b"abc", b"", memoryview(b"defgh"), bytes(2500)] * 2
    segments += [b"xy"] * 600
    with (tmp_path / "file").open("wb", buffering=0) as file:
        objects.write(file.fileno(), segments)
    assert (tmp_path / "file").read_bytes() == b"".join(segments)


def test_a_new_file_is_written_to_its_home_and_found(folder: Path, tmp_path: Path) -> None:
    for name, size in ("small", 10), ("large", LARGE):
        objects.store(folder, name, [b"x", bytes(size - 1)])
        assert (folder / name).read_bytes() == b"x" + bytes(size - 1)
        assert (folder / name).stat().st_mode & 0o777 == 0o600
        with pytest.raises(FileExistsError):
            objects.store(folder, name, [bytes(size)])
        assert (folder / name).read_bytes()[:1] == b"x"
    assert [one.name for one in (tmp_path / "disk").iterdir()] == ["large"]


def test_a_disk_that_is_full_says_so_before_anything_is_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def is_full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(objects, "write", pytest.fail)
    monkeypatch.setattr(os, "posix_fallocate", is_full, raising=False)
    with pytest.raises(OSError, match="full"):
        objects.store(folder, "name", [bytes(LARGE)])
    assert list((tmp_path / "disk").iterdir()) == []
    assert not os.path.lexists(folder / "name")


def test_a_large_file_does_not_replace_a_small_one(folder: Path, tmp_path: Path) -> None:
    (folder / "name").write_bytes(b"here before")
    with pytest.raises(FileExistsError):
        objects.store(folder, "name", [bytes(LARGE)])
    assert (folder / "name").read_bytes() == b"here before"
    assert list((tmp_path / "disk").iterdir()) == []


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS])
def test_a_disk_that_reserves_nothing_is_written_all_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, "not here")

    monkeypatch.setattr(os, "posix_fallocate", refuse, raising=False)
    objects.store(folder, "name", [bytes(LARGE)])
    assert (folder / "name").stat().st_size == LARGE
