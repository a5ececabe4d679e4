"""Where the embedded clusters of this user are: each writes a file into its private folder.

Other programs of the user, such as the `pymonik` command, find a running cluster by it. Only the
user may enter the folder, so that nobody else can announce a cluster to him.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from pymonik.cluster.folder import LOCK, MEMORY, PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE: Final = "cluster.json"


class Announcement(msgspec.Struct, frozen=True):
    """What others need to know of a running cluster.

    Attributes:
        endpoint: Where it listens.
        pid: Of its process.
        partitions: Number of workers by partition.
        started: In seconds since the epoch.
    """

    endpoint: str
    pid: int
    partitions: dict[str, int]
    started: float


def announce(folder: Path, cluster: Announcement) -> None:
    """Let others find the cluster whose private folder this is, until the folder is removed."""
    unfinished = folder / f"{FILE}.new"
    unfinished.write_bytes(msgspec.json.encode(cluster))
    unfinished.rename(folder / FILE)  # readers see the whole file, or none


def running_clusters() -> list[Announcement]:
    """The running clusters of this user on this machine, the newest first."""
    parents = dict.fromkeys((MEMORY, Path(tempfile.gettempdir())))
    folders = (folder for parent in parents for folder in parent.glob(f"{PREFIX}*"))
    found = {cluster.pid: cluster for folder in folders for cluster in _announced(folder)}
    return sorted(found.values(), key=lambda cluster: cluster.started, reverse=True)


def _announced(folder: Path) -> Iterator[Announcement]:
    """The cluster of this folder, if its process is there."""
    try:
        about = folder.stat()
        if about.st_uid != os.getuid() or about.st_mode & 0o077 or not _is_locked(folder / LOCK):
            return
        yield msgspec.json.decode((folder / FILE).read_bytes(), type=Announcement)
    except (OSError, msgspec.MsgspecError):  # the folder was just removed, or has no cluster yet
        return


def _is_locked(path: Path) -> bool:
    """Whether a process holds the lock of its folder: it is released however the process ends."""
    with path.open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
