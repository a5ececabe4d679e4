"""The folder of a call: its files lie there under their names, and what it makes is found there.

::

    Run.folder/          of the executor; files there are its parent's in the end
        .call-17-0/      the current folder of one call, removed after it
            config.pkl   a copy of what is small, a link to what is large
            2/config.pkl another file of that name

Only calls that have files or outputs get one. It lies where large objects lie, so that files come
and go by links and renames.
"""

from __future__ import annotations

import contextlib
import fnmatch
import itertools
import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pymonik.content import copies, objects, sealing
from pymonik.errors import SerializationError, TaskFailedError, UsageError
from pymonik.files.file import File
from pymonik.wire import names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pymonik.executor.frames import Run
    from pymonik.wire.call import FileRef
    from pymonik.wire.containers import Buffer

# Bytes from which a file is a link to the stored one. Copies of less take no time, and the call may
# write to them.
LINKED_FROM: Final = 16 << 20
_MOST_SHOWN: Final = 20  # names in a message
_MODE: Final = 0o700  # of the folder; one that a command has changed does not serve another
# Folders that are kept for the next command, one for each `Run.folder`. Those are of slots, and an
# executor may serve all slots in turn.
_MOST_KEPT: Final = 64
_numbers = itertools.count()
# The folder and its inode, by the folder around it: by the inode another one of the same name is
# known.
_kept: dict[str, tuple[str, int]] = {}


class MissingOutputError(TaskFailedError):
    """A call did not make a file that it was to make; the message says what there is."""


class Workplace:
    """The folder of one call, which is the current one from `enter` to `leave`.

    Args:
        run: The task.
        is_reused: Whether the folder may serve the next call too, emptied: to make and remove one
            takes longer than a short command. For commands only: nothing runs on of them.
    """

    def __init__(self, run: Run, *, is_reused: bool = False) -> None:
        self._run = run
        self._is_reused = is_reused
        self._before = ""
        self._placed: dict[tuple[str, str], File] = {}  # by name and digest
        self._names: set[str] = set()  # where inputs lie
        self._around: set[str] = set()  # folders in which they do
        self._linked: list[tuple[str, str, sealing.Mark]] = []
        kept = _kept.pop(run.folder, None) if is_reused else None
        self.folder = kept[0] if kept is not None and _is_same(*kept) else _new_folder(run.folder)

    # -- in --------------------------------------------------------------------------------------

    def file(self, ref: FileRef, data: Any = None) -> File:
        """Have a file lie in the folder; equal ones lie there once.

        Args:
            ref: The file.
            data: Its bytes, where they came with a value.

        Raises:
            SerializationError: It is no input of the task.
            UsageError: Its name leads out of the folder.
        """
        key = names.checked(ref.name), ref.digest
        placed = self._placed.get(key)
        if placed is None:
            path = self._path(self._free_name(ref.name))
            os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
            self._fill(path, ref, data)
            placed = self._placed[key] = File.of(ref, path=path)
        return placed

    def _free_name(self, name: str) -> str:
        """The name, below a folder with a number if another file has it."""
        folders = itertools.chain([""], (f"{number}/" for number in itertools.count(2)))
        free = next(path for folder in folders if self._is_free(path := f"{folder}{name}"))
        self._names.add(free)
        self._around.update(_around(free))
        return free

    def _is_free(self, name: str) -> bool:
        """Whether no other file lies there, nor below, nor where a folder around it is to be."""
        if name in self._names or name in self._around:
            return False
        return not any(folder in self._names for folder in _around(name))

    def _path(self, name: str) -> str:
        return f"{self.folder}/{name}"

    def _fill(self, path: str, ref: FileRef, data: Buffer | None) -> None:
        if data is None and not ref.size:
            data = b""
        source = self.source(ref) if data is None else bytes(data)
        if ref.is_folder:
            self._unpack(source, path)
            return
        if isinstance(source, bytes):
            content = source if data is not None else source[ref.offset : ref.offset + ref.size]
            with open(path, "xb", buffering=0) as file:  # noqa: PTH123
                objects.write(file.fileno(), (content,))
        elif _may_link(ref):
            self._link(source, path, ref)
            return
        elif copies.copy_file(source, path, offset=ref.offset, size=ref.size) != ref.size:
            raise SerializationError(f"the file {ref.name!r} was cut on its way")
        os.chmod(path, 0o755 if ref.is_executable else 0o644)  # noqa: PTH101

    def source(self, ref: FileRef) -> str | bytes:
        """The result in which a file lies: where that is, or its bytes.

        Raises:
            SerializationError: It is no input of the task.
        """
        try:
            return self._run.input(ref.result_id)
        except KeyError:
            raise SerializationError(f"the file {ref.name!r} is no input of the task") from None

    def _unpack(self, source: str | bytes, path: str) -> None:
        import io

        from pymonik.files.folder_tars import unpack

        with io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as tar:  # noqa: PTH123
            unpack(tar, Path(path))

    def _link(self, source: str, path: str, ref: FileRef) -> None:
        """Have a link to the stored file, which other calls read too: it is made read-only."""
        real = os.path.realpath(source)
        try:
            # Before the link is there: a link has the mode of its file, which from now on must not
            # be written to.
            os.chmod(real, 0o555 if ref.is_executable else 0o444)  # noqa: PTH101
            os.link(real, path)
        except OSError:  # the file lies in memory and the folder on a disk, or is another user's
            os.symlink(real, path)  # noqa: PTH211
        self._linked.append((path, ref.name, sealing.mark_of(os.stat(path))))  # noqa: PTH116

    def check_linked(self) -> None:
        """What only root can have done: a write to a stored file.

        Raises:
            UsageError: The call wrote to one.
        """
        for path, name, mark in self._linked:
            with contextlib.suppress(FileNotFoundError):  # removed, or another in its place
                now = sealing.mark_of(os.stat(path))  # noqa: PTH116
                # A stored file (device, inode) whose size or time of change is another was written
                # to; another file in its place is the call's own.
                if now[:2] == mark[:2] and now[2:4] != mark[2:4]:
                    raise UsageError(
                        f"the call has changed its input {name!r}, which other calls read too; "
                        "File(..., link=False) gives each call a copy of its own"
                    )

    # -- while it runs ---------------------------------------------------------------------------

    def enter(self) -> None:
        """Make it the current folder."""
        self._before = os.getcwd()  # noqa: PTH109
        os.chdir(self.folder)

    def leave(self) -> None:
        """Make the folder before it the current one again, and remove it."""
        if self._before:
            with contextlib.suppress(OSError):  # removed by the call
                os.chdir(self._before)
        # Digests of folders are remembered by path, and the next call may have a folder of this
        # one.
        sealing.forget_folders(self.folder)
        if self._is_reused and self._empty():
            return
        shutil.rmtree(self.folder, onerror=_make_removable)

    def _empty(self) -> bool:
        """Keep the folder for another call, if it is as it was before this one."""
        try:
            about = os.stat(self.folder)  # noqa: PTH116
            if stat.S_IMODE(about.st_mode) != _MODE or len(_kept) >= _MOST_KEPT:
                return False
            with os.scandir(self.folder) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        shutil.rmtree(entry.path)
                    else:
                        os.unlink(entry.path)  # noqa: PTH108
        except OSError:
            return False
        _kept[self._run.folder] = self.folder, about.st_ino
        return True

    # -- out -------------------------------------------------------------------------------------

    def matched(self, patterns: Sequence[str]) -> tuple[list[str], list[str]]:
        """The names of outputs, and patterns that match nothing.

        Raises:
            MissingOutputError: A name without a pattern is not there.
        """
        if not patterns:
            return [], []
        there = sorted(self._files())
        made = [name for name in there if not self._is_input(name)]
        found: dict[str, None] = {}
        unmatched = []
        for pattern in patterns:
            if not _is_pattern(pattern):
                self._check_there(pattern, made)
                found[pattern.rstrip("/")] = None
            elif matches := [name for name in made if _matches(name, pattern)]:
                found.update(dict.fromkeys(matches))
            else:
                unmatched.append(pattern)
        return list(found), unmatched

    def _is_input(self, name: str) -> bool:
        return name in self._names or any(name.startswith(f"{one}/") for one in self._names)

    def _check_there(self, name: str, made: Sequence[str]) -> None:
        path = self._path(name)
        real = os.path.realpath(path)
        inside = real == self.folder or real.startswith(os.path.realpath(self.folder) + os.sep)
        if os.path.exists(path) and inside:  # noqa: PTH110
            return
        shown = ", ".join(made[:_MOST_SHOWN]) + (", ..." if len(made) > _MOST_SHOWN else "")
        raise MissingOutputError(
            f"the call has not made its output {name!r}; what it made: {shown or 'no file'}"
        )

    def _files(self) -> Iterator[str]:
        """Names of the files in the folder; links that lead out of it are none of them."""
        top = os.path.realpath(self.folder) + os.sep
        for folder, _, files in os.walk(self.folder):
            for name in files:
                path = f"{folder}/{name}"
                if os.path.realpath(path).startswith(top) and os.path.isfile(path):  # noqa: PTH113
                    yield path[len(self.folder) + 1 :]

    def output(self, name: str) -> File:
        """One of its files, as something that can be returned."""
        return File(self._path(name), name)

    def contains(self, path: str) -> bool:
        """Whether a file lies in the folder, so that it may be taken away."""
        return os.path.realpath(path).startswith(os.path.realpath(self.folder) + os.sep)

    def is_linked(self, path: str) -> bool:
        """Whether a file is a stored one, which must not be moved."""
        return any(path == linked for linked, _, _ in self._linked)


def _around(name: str) -> list[str]:
    """The folders around a file, from the outside in."""
    parts = name.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _new_folder(around: str) -> str:
    large = objects.large_folder(Path(around))
    # Without links in it: tools tell where they are, and paths are compared.
    folder = os.path.realpath(large / f".call-{os.getpid()}-{next(_numbers)}")
    os.mkdir(folder, _MODE)  # noqa: PTH102
    return folder


def _is_same(folder: str, inode: int) -> bool:
    """Whether a folder is there that was kept, and not another one."""
    try:
        return os.lstat(folder).st_ino == inode
    except OSError:
        return False


def _may_link(ref: FileRef) -> bool:
    if ref.offset:
        return False
    return ref.size >= LINKED_FROM if ref.is_linked is None else ref.is_linked


def _is_pattern(text: str) -> bool:
    return any(sign in text for sign in "*?[")


def _matches(name: str, pattern: str) -> bool:
    """Whether a name matches part by part; ``**`` stands for any number of folders."""
    return _match(name.split("/"), pattern.rstrip("/").split("/"))


def _match(parts: Sequence[str], patterns: Sequence[str]) -> bool:
    if not patterns:
        return not parts
    first, rest = patterns[0], patterns[1:]
    if first == "**":
        return any(_match(parts[i:], rest) for i in range(len(parts) + 1))
    return bool(parts) and fnmatch.fnmatchcase(parts[0], first) and _match(parts[1:], rest)


def _make_removable(remove: Callable[..., object], path: str, _: object) -> None:
    """A folder that a call has made read-only is removed too; what cannot be removed stays."""
    with contextlib.suppress(OSError):
        os.chmod(os.path.dirname(path), stat.S_IRWXU)  # noqa: PTH101, PTH120
        if remove in (os.scandir, os.open, os.lstat):
            os.chmod(path, stat.S_IRWXU)  # noqa: PTH101
            shutil.rmtree(path, ignore_errors=True)
        else:
            remove(path)
