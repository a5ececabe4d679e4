"""The private folder of an embedded cluster: sockets, objects, files of tasks.

Whoever can reach the socket can run code, so only the user may enter. In memory where there is
room, except for large files where those of a disk cost less. Removed at the end; what clusters that
were killed left behind is removed by the next one.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import mmap
import os
import resource
import shutil
import stat
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pymonik.content import objects
from pymonik.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

logger = logging.getLogger(__name__)

PREFIX = "pymonik-"
LOCK = "cluster.lock"  # held by the process that uses the folder; others have a "lock" too
MEMORY = Path("/dev/shm")
ENOUGH = 1 << 30  # bytes that must be free in memory for the folder to be made there
YOUNG_S = 60  # seconds in which a folder may have been made and not yet locked by its process
# Bytes of a path in `sun_path` of macOS, without the final zero; Linux has 107.
LONGEST_SOCKET = 103
LONGEST_NAME = len("/w9999/worker.sock")  # the longest path of a socket below the folder
TRIAL_BYTES = (
    4 << 20
)  # of the file that is mapped to see what page faults it takes: two large pages
# Page faults of that mapping up to which its pages count as large. With small ones Linux takes 64:
# it maps 16 pages around the one that was asked for at a time.
FEW_FAULTS = 32


@contextlib.contextmanager
def private_folder(
    parent: Path | None = None, first: Callable[[Path], object] = lambda _: None
) -> Iterator[Path]:
    """A new folder that only its user may enter, removed with what is in it.

    Args:
        parent: Where to make it; ``None`` takes memory, or else the folder of temporary files, or
            both: see `pymonik.content.objects`.
        first: Called with the folder as soon as there is one, to start what takes its time.

    Raises:
        ConfigError: It cannot be made there, or its path is too long for a unix socket.
    """
    with contextlib.ExitStack() as made:
        beside = parent or _parent()
        folder = made.enter_context(_locked_folder(beside))
        if len(os.fsencode(folder)) + LONGEST_NAME > LONGEST_SOCKET:
            raise ConfigError(
                f"{folder.parent} is too long a path for unix sockets: give another folder"
            )
        first(folder)
        temporary = Path(tempfile.gettempdir())
        # Clusters that were killed may have found the other one better than this one does.
        for one in {beside, temporary}:
            _sweep(one)
        if parent is None and _suits_large_files(temporary, folder):
            objects.add_large(folder, made.enter_context(_locked_folder(temporary)))
        yield folder


@contextlib.contextmanager
def _locked_folder(parent: Path) -> Iterator[Path]:
    _refuse_shared(parent)
    try:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent)).resolve()  # mode 0700
    except OSError as error:
        raise ConfigError(f"cannot make a folder for the cluster in {parent}: {error}") from error
    try:
        with (folder / LOCK).open("w") as lock:
            # Held until the process ends, however it does: an unlocked folder belongs to nobody.
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
    finally:
        remove(folder)


def _refuse_shared(parent: Path) -> None:
    """Refuse a folder in which others can put a folder of theirs in the place of ours."""
    try:
        mode = parent.stat().st_mode
    except OSError:  # making a folder there tells why
        return
    if mode & (stat.S_IWGRP | stat.S_IWOTH) and not mode & stat.S_ISVTX:
        raise ConfigError(
            f"{parent} can be written by others and has no sticky bit, so another user could put a "
            f"folder in the place of the cluster's: give another folder, or `chmod +t {parent}`"
        )


def remove(folder: Path) -> None:
    """Remove a folder, even while a process that is about to end still writes there."""
    for one in (objects.large_folder(folder).resolve(), folder):
        for _ in range(3):
            shutil.rmtree(one, ignore_errors=True)
            if not one.exists():
                break
        else:
            logger.warning("could not remove %s", one)


def _parent() -> Path:
    if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= ENOUGH:
        return MEMORY
    return Path(tempfile.gettempdir())


def _suits_large_files(disk: Path, memory: Path) -> bool:
    """Whether large files are better there: they cost less, and have as much room.

    Several file systems keep files in large pages, which tmpfs rarely does: from which version on,
    and when, differs. What it is worth shows where a file is mapped.
    """
    try:
        has_room = shutil.disk_usage(disk).free >= shutil.disk_usage(memory).free
        return has_room and _has_large_pages(disk) and not _has_large_pages(memory)
    except OSError:
        return False


def _has_large_pages(folder: Path) -> bool:
    """Whether a file is mapped with fewer page faults than small pages take."""
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        objects.write(file.fileno(), (b"." * TRIAL_BYTES,))  # zeros may be memory that is not there
        with mmap.mmap(file.fileno(), TRIAL_BYTES, access=mmap.ACCESS_COPY) as mapping:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            mapping[:: mmap.PAGESIZE]  # reads a byte of each page
            return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before <= FEW_FAULTS


def _sweep(parent: Path) -> None:
    """Remove the folders whose process is gone."""
    for folder in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # another cluster sweeps, or uses it
            about = folder.stat()
            if about.st_uid != os.getuid() or time.time() - about.st_mtime < YOUNG_S:
                continue
            with (folder / LOCK).open("r+") as lock:
                fcntl.flock(
                    lock, fcntl.LOCK_EX | fcntl.LOCK_NB
                )  # raises while its process is there
                shutil.rmtree(folder, ignore_errors=True)
