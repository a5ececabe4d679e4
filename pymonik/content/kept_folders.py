"""`KeptFolders`: folders of this machine that are filled once, whoever uses them.

::

    <home>/<kind>/<digest>/            complete, from the moment it has this name
    <home>/<kind>/<digest>.lock        held, shared, while a process uses the folder
    <home>/<kind>/<digest>.building    held by the one that looks whether it is there, and fills it

Whoever makes room takes the first lock alone, so that what is used stays.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pymonik.errors import SerializationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

logger = logging.getLogger(__name__)

T = TypeVar("T")


class KeptFolders(Generic[T]):
    """The folders of one kind that one process uses; thread-safe.

    Args:
        kind: Names the folder that holds them.
        home: Where that is.
        instead: Where it is when nothing can be written there.
    """

    def __init__(self, kind: str, home: Path, instead: Path | None) -> None:
        self._kind = kind
        self._home = home
        self._instead = instead
        self._in_use: dict[str, T] = {}
        # Descriptors that hold the locks: closing one gives its lock up, and so does the end of the
        # process, however it comes.
        self._locks: list[int] = []
        self._has_told = False

    def find(self, digest: str, fill: Callable[[Path], Any], use: Callable[[Path], T]) -> T:
        """What is used of a folder, which stays until `close`.

        Args:
            digest: Of what it holds, and its name.
            fill: Makes it at this place, all at once.
            use: Gives what is used of it.

        Raises:
            SerializationError: That is no digest, or ``fill`` says so.
            OSError: It cannot be written here.
        """
        if (known := self._in_use.get(digest)) is not None:
            return known
        # The digest comes with a task and becomes the name of a folder: it must not lead out of its
        # home.
        if not digest.isalnum():
            raise SerializationError("what is kept here is known by its digest")
        try:
            return self._found(self._home / self._kind / digest, fill, use)
        except OSError as error:
            if self._instead is None:
                raise
            self._tell(error)
            return self._found(self._instead / self._kind / digest, fill, use)

    def close(self) -> None:
        """Let go of all folders: they may be removed when room is needed."""
        self._in_use.clear()
        while self._locks:
            os.close(self._locks.pop())

    def _found(self, place: Path, fill: Callable[[Path], Any], use: Callable[[Path], T]) -> T:
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(place.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            with _builders_turn(place):
                # Shared for as long as it is used, by any number of threads and processes: who
                # makes room wants it alone, and would be waited for here.
                fcntl.flock(lock, fcntl.LOCK_SH)
                if not place.is_dir():
                    fill(place)
            # The time of the lock file is that of the last use, by which those that make room
            # choose.
            os.utime(lock)
            found = use(place)
        except BaseException:
            os.close(lock)
            raise
        self._locks.append(lock)
        # Two threads may have found the same folder at once. Both locks are kept, which does no
        # harm, and both threads get the same object.
        return self._in_use.setdefault(place.name, found)

    def _tell(self, error: OSError) -> None:
        if not self._has_told:
            self._has_told = True
            logger.warning(
                "%s cannot be kept in %s, and go to %s: %s",
                self._kind,
                self._home,
                self._instead,
                error,
            )


@contextlib.contextmanager
def _builders_turn(place: Path) -> Iterator[None]:
    """One at a time looks whether a folder is there, and fills it if it is not.

    The lock of those who use it cannot serve: they keep theirs, and a builder that waits to have it
    alone would wait until the last of them ends.
    """
    with place.with_suffix(".building").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def alone(lock: Path) -> Iterator[bool]:
    """Whether nobody uses the folder of a lock, and nobody begins to in the block."""
    with lock.open("a") as file:
        try:
            # Without waiting: a folder that is used is no candidate, and its users may run for
            # days.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
