"""Environments that are on their way, as processes of this user tell each other.

::

    environments/making/<id>-<process>    held exclusively by who makes it
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

import msgspec

from pymonik.environments import cache_folder
from pymonik.environments.folders import try_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Note(msgspec.Struct, frozen=True):
    """An environment that some process is making.

    Attributes:
        packages_id: Of the environment.
        asked: Its requirements.
        state: Where it is on its way.
        since: When it was asked for, in seconds since the epoch.
    """

    packages_id: str
    asked: tuple[str, ...]
    state: str
    since: float


@contextlib.contextmanager
def noted(note: Note) -> Iterator[Callable[[str], None]]:
    """Have others see what this process is making; gone with the process, however it ends.

    Gives what tells them that it is in another state.
    """
    path = cache_folder.folder() / "making" / f"{note.packages_id}-{os.getpid()}"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)

        def tell(state: str) -> None:
            data = msgspec.json.encode(msgspec.structs.replace(note, state=state))
            # Written over the text before and cut to its length: a reader may see a mixture for a
            # moment, which `_note` takes for no note.
            file.truncate(os.pwrite(file.fileno(), data, 0))

        tell(note.state)
        try:
            yield tell
        finally:
            path.unlink(missing_ok=True)


def notes() -> list[Note]:
    """What all processes of this user and machine are making."""
    return [note for path in (cache_folder.folder() / "making").glob("*") if (note := _note(path))]


def _note(path: Path) -> Note | None:
    with contextlib.suppress(OSError, msgspec.MsgspecError), path.open("rb") as file:
        # Nobody holds the lock: the process that wrote the note was killed.
        if try_lock(file.fileno(), fcntl.LOCK_SH):
            path.unlink(missing_ok=True)
            return None
        return msgspec.json.decode(file.read(), type=Note)
    return None
