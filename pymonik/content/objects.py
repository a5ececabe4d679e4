"""Files of objects: where the bytes of a large one belong, and writing them without joining them.

A folder in memory may have another one for large files, on a disk whose cache has larger pages,
which makes them cheaper. Whoever looks for a file by its name finds it, large or not::

    folder/name            a file
    folder/.large/         link to the folder on the disk
    folder/other       ──► link to .large/other, made when that is complete

What lives shorter than half a minute is never written to the disk itself. The system begins to
write earlier once much waits for it, and has writers wait for the disk in the end; before that,
files are better off in memory, as long as there is room.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
from mmap import PAGESIZE
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pymonik.wire.containers import Buffer

LARGE = 1 << 20  # bytes: from here on, what the pages of a file cost is more than making it
LARGE_FOLDER = ".large"  # the dot keeps it apart from objects: `is_name` refuses such names
_RESERVE = 1 << 30  # bytes of memory that are left to small files
# Where Linux tells how many pages wait for the disk, and from how many on it begins to write.
_STATE = Path("/proc/vmstat")
# Of file systems that cannot reserve; glibc then writes zeros, which not all of them take either.
_NOT_RESERVING = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)
_MAX_SEGMENTS = 512  # of one writev; the system takes 1024
# What is written at once gets pages of that size. Larger ones are mapped faster, but are what a
# virtual machine gives back to its host when they are free: to get them again takes five times as
# long as to fill them.
_PORTION = 1 << 19


def home(folder: Path, size: int) -> Path:
    """Where in ``folder`` a file of this size is to be written."""
    if size < LARGE:
        return folder
    large = large_folder(folder)
    if large == folder or _can_wait(size):
        return large
    return folder if _has_room(folder, size) else large


def large_folder(folder: Path) -> Path:
    """The folder for large files that belongs to a folder, or else the folder itself."""
    large = folder / LARGE_FOLDER
    return large if large.is_dir() else folder


def _can_wait(size: int) -> bool:
    """Whether the system will not write to the disk at once when it gets as much."""
    try:
        state = dict(line.split() for line in _STATE.read_bytes().splitlines())
        waiting = int(state[b"nr_dirty"]) + int(state[b"nr_writeback"])
        return waiting * PAGESIZE + size < int(state[b"nr_dirty_background_threshold"]) * PAGESIZE
    except (OSError, KeyError, ValueError):  # other systems do not tell
        return False


def _has_room(folder: Path, size: int) -> bool:
    """Whether a folder in memory takes a file, and leaves enough memory to programs.

    Such a file system may be as large as the memory of the machine: it is full too late.
    """
    about = os.statvfs(folder)
    free, used = about.f_bavail * about.f_frsize, (about.f_blocks - about.f_bfree) * about.f_frsize
    total = _memory()
    # Half of the memory stays with programs, and one file gets no more than an eighth: what is in
    # such a file system cannot be given up under pressure, only swapped.
    return free > size + _RESERVE and size <= total // 8 and used + size <= total // 2


@functools.cache
def _memory() -> int:
    from pymonik.launch import memory  # most executors write no large file

    return memory.total()


def show(folder: Path, place: Path, name: str) -> None:
    """Have a file that was written to its `home` be found in ``folder``.

    Raises:
        FileExistsError: Another one is.
    """
    if place != folder:
        # Relative, so that the folder can be reached by another path (in a container, say). A link
        # is made in one step: whoever finds the name finds the whole file.
        os.symlink(f"{LARGE_FOLDER}/{name}", path_in(folder, name))  # noqa: PTH211


def add_large(folder: Path, large: Path) -> None:
    """Give a folder the one where its large files are to lie."""
    large.mkdir(mode=0o700, exist_ok=True)
    (folder / LARGE_FOLDER).symlink_to(large.absolute())


def make(folder: Path) -> None:
    """Make a folder; it has one for large files if the one around it has."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    around = large_folder(folder.parent)
    if around != folder.parent:
        add_large(folder, around.resolve() / folder.name)


def create(folder: Path, name: str, segments: Sequence[Buffer]) -> Path:
    """Write a new file to its `home` in ``folder``, which is returned. None is left if that fails.

    Raises:
        FileExistsError: There is one of that name.
        OSError: It cannot be written.
    """
    size = sum(memoryview(segment).nbytes for segment in segments)
    place = home(folder, size)
    path = path_in(place, name)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        # Only on the disk: memory is taken page by page in any case.
        if place != folder:
            reserve(fd, 0, size)
        write(fd, segments)
    except OSError as error:
        remove(path)
        raise about(error, path) from error
    except BaseException:
        remove(path)
        raise
    finally:
        os.close(fd)
    return place


def about(error: OSError, path: str) -> OSError:
    """The error with the path of its file, which the system does not tell of a full disk."""
    if error.filename or error.errno is None or isinstance(error, ConnectionError):
        return error  # a stream that broke is no fault of the disk
    return OSError(error.errno, error.strerror, path)


def store(folder: Path, name: str, segments: Sequence[Buffer]) -> None:
    """Write a new file and have it found by its name in ``folder``; raises as `create` does."""
    place = create(folder, name, segments)
    try:
        show(folder, place, name)
    except BaseException:
        remove(path_in(place, name))
        raise


def path_in(folder: Path, name: str) -> str:
    """The path of a file, without a `Path`: Python 3.12 never forgets a name that was in one."""
    return f"{folder}{os.sep}{name}"


def is_name(name: str) -> bool:
    """Whether a file can have this name: names come from others, and stay in their folder."""
    return name[:1] not in ("", ".") and os.sep not in name and "\0" not in name


def remove(path: str) -> None:
    """Remove a file, unless it is gone."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108


def reserve(fd: int, start: int, size: int) -> bool:
    """Have the disk set aside ``size`` bytes of a file from ``start`` on.

    The blocks of a large file come at once so: one by one takes a third of the time of writing it.

    Returns:
        Whether they are set aside. macOS has no such call, and a file system may be unable to,
        with a C library as musl; then a write itself tells whether there is room.

    Raises:
        OSError: The disk has not as many.
    """
    if not hasattr(os, "posix_fallocate"):
        return False
    try:
        os.posix_fallocate(fd, start, size)
    except OSError as error:
        if error.errno in _NOT_RESERVING:
            return False
        raise
    return True


def write(fd: int, segments: Sequence[Buffer]) -> None:
    """Write all of ``segments`` at the position of ``fd``."""
    for portion in cut(segments, _PORTION):
        # Turned round, so that the first segment can be taken off at the end of the list, in
        # constant time.
        left = portion[::-1]
        while left:
            written = os.writev(fd, left[: -_MAX_SEGMENTS - 1 : -1])
            while written:
                first = left.pop()
                # `writev` may write less than it was given: the rest of this segment goes first in
                # the next call.
                if written < first.nbytes:
                    left.append(first[written:])
                    break
                written -= first.nbytes


def cut(segments: Iterable[Buffer], size: int) -> Iterator[list[memoryview]]:
    """The bytes of ``segments`` in groups of ``size`` bytes, then the rest; nothing is copied."""
    group: list[memoryview] = []
    room = size
    for segment in segments:
        view = memoryview(segment).cast("B")
        while view.nbytes:
            part, view = view[:room], view[room:]
            group.append(part)
            room -= part.nbytes
            if not room:
                yield group
                group, room = [], size
    if group:
        yield group
