"""The private folder of a cluster: whose it is, and when it goes."""

from __future__ import annotations

import fcntl
import os
import stat
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from pymonik.cluster import folder as module
from pymonik.cluster.folder import LOCK, private_folder, remove
from pymonik.content import objects
from pymonik.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def disk(short_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files, which suits large ones; beside it is one in memory."""
    for name in ("memory", "disk"):
        (short_path / name).mkdir()
    monkeypatch.setattr(module, "MEMORY", short_path / "memory")
    monkeypatch.setattr(module, "ENOUGH", 1)
    monkeypatch.setattr("tempfile.tempdir", str(short_path / "disk"))
    monkeypatch.setattr(module, "_has_large_pages", lambda folder: folder.name == "disk")
    return short_path / "disk"


def _left_behind(parent: Path, name: str) -> Path:
    """The folder of a cluster that was killed an hour ago."""
    folder = parent / name
    (folder / "objects").mkdir(parents=True)
    (folder / LOCK).touch()
    hour_ago = folder.stat().st_mtime - 3600
    os.utime(folder, (hour_ago, hour_ago))
    return folder


def test_only_its_user_may_enter_and_it_is_removed(short_path: Path) -> None:
    with private_folder(short_path) as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "some" / "data").mkdir(parents=True)
    assert not list(short_path.iterdir())


def test_it_is_removed_after_an_error(short_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), private_folder(short_path):
        raise ZeroDivisionError
    assert not list(short_path.iterdir())


def test_what_a_killed_cluster_left_is_removed(short_path: Path) -> None:
    left = _left_behind(short_path, "pymonik-killed")
    with private_folder(short_path):
        assert not left.exists()


def test_the_folder_of_a_living_cluster_stays(short_path: Path) -> None:
    used = _left_behind(short_path, "pymonik-used")
    with (used / LOCK).open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with private_folder(short_path):
            assert used.exists()


def test_a_folder_that_is_not_a_clusters_stays(short_path: Path) -> None:
    other = _left_behind(short_path, "pymonik-notes")
    (other / LOCK).rename(other / "lock")
    os.utime(other, (0, 0))
    with private_folder(short_path):
        assert other.exists()


def test_a_path_too_long_for_a_socket_is_refused(short_path: Path) -> None:
    parent = short_path / ("x" * 100)
    parent.mkdir()
    with pytest.raises(ConfigError, match="too long"), private_folder(parent):
        pass
    assert not list(parent.iterdir())


def test_a_folder_that_cannot_be_made_is_told(short_path: Path) -> None:
    missing = short_path / "missing"
    with pytest.raises(ConfigError, match="missing"), private_folder(missing):
        pass


def test_large_files_have_a_folder_on_the_disk_which_goes_too(disk: Path) -> None:
    with private_folder() as folder:
        large = objects.large_folder(folder).resolve()
        assert folder.parent.name == "memory"
        assert large.parent == disk.resolve()
        assert stat.S_IMODE(large.stat().st_mode) == 0o700
        (large / "data").write_bytes(b"abc")
    assert not folder.exists()
    assert not list(disk.iterdir())


def test_they_have_none_where_a_folder_was_given(disk: Path, short_path: Path) -> None:
    with private_folder(short_path) as folder:
        assert objects.large_folder(folder) == folder
        assert not list(disk.iterdir())


def test_they_have_none_where_the_disk_has_less_room(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def usage(folder: Path) -> object:
        return SimpleNamespace(free=10 if disk in (folder, *folder.parents) else 11)

    monkeypatch.setattr("shutil.disk_usage", usage)
    with private_folder() as folder:
        assert objects.large_folder(folder) == folder


def test_they_have_none_where_memory_has_large_pages_too(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_has_large_pages", lambda _folder: True)
    with private_folder() as folder:
        assert objects.large_folder(folder) == folder
    assert not list(disk.iterdir())


def test_a_folder_whose_cluster_was_killed_is_removed_with_the_one_for_large_files(
    short_path: Path,
) -> None:
    folder = short_path / "folder"
    folder.mkdir()
    objects.add_large(folder, short_path / "large")
    (short_path / "large" / "data").touch()
    remove(folder)
    assert not list(short_path.iterdir())


def test_what_a_killed_cluster_left_on_the_disk_is_removed(disk: Path) -> None:
    left = _left_behind(disk, "pymonik-killed")
    with private_folder():
        assert not left.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="asked there only")
def test_whether_files_have_large_pages_can_be_told(tmp_path: Path) -> None:
    assert isinstance(module._has_large_pages(tmp_path), bool)
    assert not list(tmp_path.iterdir())
