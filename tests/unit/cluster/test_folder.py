"""The private folder of a cluster: whose it is, and when it goes."""

from __future__ import annotations

import fcntl
import os
import stat
from typing import TYPE_CHECKING

import pytest

from pymonik.cluster.folder import private_folder
from pymonik.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def _left_behind(parent: Path, name: str) -> Path:
    """The folder of a cluster that was killed an hour ago."""
    folder = parent / name
    (folder / "objects").mkdir(parents=True)
    (folder / "lock").touch()
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
    with (used / "lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with private_folder(short_path):
            assert used.exists()


def test_a_folder_that_is_not_a_clusters_stays(short_path: Path) -> None:
    other = _left_behind(short_path, "pymonik-notes")
    (other / "lock").unlink()
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
