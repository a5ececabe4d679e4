"""The place in the user's cache where environments lie, and how files get there.

A file or folder appears complete or not at all: it is written beside its place and renamed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pymonik.launch.user_cache import user_cache

if TYPE_CHECKING:
    from collections.abc import Iterator


def folder() -> Path:
    """Where all of it lies."""
    return user_cache() / "environments"


def keep(path: Path, data: bytes) -> None:
    """Have a file with these bytes; nobody sees it before it is complete.

    Raises:
        OSError: It cannot be written.
    """
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # Cut: names of wheels may be as long as a file system allows, and this one is longer.
    fd, name = tempfile.mkstemp(prefix=f".{path.name[:40]}-", dir=path.parent)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
        Path(name).rename(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Alone with this path, among all processes and threads; the system unlocks at death."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
