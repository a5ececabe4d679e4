"""The private folder of an embedded cluster: sockets, objects, files of tasks.

Whoever can reach the socket can run code, so only the user may enter. In memory where there is
room. Removed at the end; what clusters that were killed left behind is removed by the next one.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pymonik.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger(__name__)

PREFIX = "pymonik-"
LOCK = "lock"  # held by the process that uses the folder
MEMORY = Path("/dev/shm")
ENOUGH = 1 << 30  # bytes free in memory to prefer it
YOUNG_S = 60  # a folder this young may not be locked yet
LONGEST_SOCKET = 103  # sun_path of macOS, without the final zero
LONGEST_NAME = len("/w9999/worker.sock")


@contextlib.contextmanager
def private_folder(parent: Path | None = None) -> Iterator[Path]:
    """A new folder that only its user may enter, removed with what is in it.

    Args:
        parent: Where to make it; ``None`` takes memory, or else the folder of temporary files.

    Raises:
        ConfigError: It cannot be made there, or its path is too long for a unix socket.
    """
    parent = parent or _parent()
    _sweep(parent)
    try:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent)).resolve()  # mode 0700
    except OSError as error:
        raise ConfigError(f"cannot make a folder for the cluster in {parent}: {error}") from error
    try:
        if len(os.fsencode(folder)) + LONGEST_NAME > LONGEST_SOCKET:
            raise ConfigError(f"{parent} is too long a path for unix sockets: give another folder")
        with (folder / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
    finally:
        remove(folder)


def remove(folder: Path) -> None:
    """Remove a folder, even while a process that is about to end still writes there."""
    for _ in range(3):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
    logger.warning("could not remove %s", folder)


def _parent() -> Path:
    if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= ENOUGH:
        return MEMORY
    return Path(tempfile.gettempdir())


def _sweep(parent: Path) -> None:
    """Remove the folders whose process is gone."""
    for folder in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # another cluster sweeps, or uses it
            about = folder.stat()
            if about.st_uid != os.getuid() or time.time() - about.st_mtime < YOUNG_S:
                continue
            with (folder / LOCK).open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
