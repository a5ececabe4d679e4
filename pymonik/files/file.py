"""`File`: a file that goes to a task as it is, or comes from one.

::

    here       File("mesh.msh") ──► sealed: name, size, digest ──► raw result, once per content
    in a task  File at its place in the folder of the call; what it returns is a raw result too
    here       File of a raw result: read, opened or saved when somebody wants it
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import msgspec

from pymonik.code.references import Enclosed, Sealed
from pymonik.content import sealing
from pymonik.errors import UsageError
from pymonik.wire import names

if TYPE_CHECKING:
    from pymonik.files.stored import Stored
    from pymonik.wire.call import FileRef

_PORTION: Final = 1 << 20  # bytes that are written at once
# What ``rename`` answers where a folder is in the way, or a file in the way of a folder.
_OF_FOLDERS: Final = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)
# Two threads may save to one folder: each of their partial files has a name of its own.
_numbers = itertools.count()


class File(Enclosed, os.PathLike[str]):
    """A file or a folder, as an argument or a value of tasks.

    A task finds it in a folder of its own, under its name, and has its path by ``os.fspath``, so
    that ``open(file)`` works. Returned by a task it travels as it is, and goes on to other tasks
    without coming home. A folder arrives as a folder.

    Args:
        path: Where it lies; it is read when a call is made with it.
        name: What it is called in the folder of the call, perhaps below another folder; by default
            as its path ends.
        link: Whether a task may get the stored file itself, to be read only: ``False`` for a copy
            that the task may change, ``True`` for no copy; ``None`` for no copy of what is large
            (16 MiB and more).
    """

    __slots__ = ("_link", "_mark", "_name", "_path", "_ref", "_stored")

    def __init__(
        self, path: str | os.PathLike[str], name: str | None = None, *, link: bool | None = None
    ) -> None:
        """Refer to a file.

        Raises:
            UsageError: The name leaves the folder of a call.
        """
        given = os.fspath(path)
        if not isinstance(given, str):
            raise UsageError(f"the path of a file is a text, not {given!r}")
        self._path = given
        self._name = names.checked(_ending(given) if name is None else os.fspath(name))
        self._link = link
        self._ref: FileRef | None = None  # once it is in the cluster
        self._stored: Stored | None = None  # of what is not on this machine
        self._mark: sealing.Mark = ()  # of a file at its place in the folder of a call

    @classmethod
    def of(cls, ref: FileRef, *, path: str = "", stored: Stored | None = None) -> File:
        """A file of the cluster: at its place in the folder of a call, or what gives its bytes."""
        file = cls(path or ref.name, ref.name, link=ref.is_linked)
        file._path = path
        file._ref, file._stored = ref, stored
        if path:
            file._mark = sealing.mark_of(os.stat(path))  # noqa: PTH116
        return file

    # -- what it is ------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """What it is called in the folder of a call."""
        return self._name

    @property
    def size(self) -> int:
        """In bytes; of a folder, those of its tar."""
        return self._known().size

    @property
    def digest(self) -> str:
        """SHA-256 of its bytes, in hexadecimal."""
        return self._known().digest

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return self._known().is_folder

    def __fspath__(self) -> str:
        if not self._path:
            raise UsageError(
                f"the file {self._name!r} is in the cluster and has no path here: save it, "
                "file.save('here'), or read it, file.open()"
            )
        return self._path

    # -- its bytes -------------------------------------------------------------------------------

    def open(self) -> IO[bytes]:
        """Open it for reading bytes."""
        self._refuse_folder("opened")
        return self._opened(self._path)

    def read_bytes(self) -> bytes:
        """All of its bytes."""
        with self.open() as file:
            return file.read()

    def read_text(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """All of its text."""
        return self.read_bytes().decode(encoding, errors)

    def save(self, to: str | os.PathLike[str]) -> Path:
        """Write it to a file, or into a folder that is there, under its name; the path.

        Nobody sees a part of it under that path: it is written beside it and then renamed. A folder
        is unpacked.

        Raises:
            OSError: It cannot be written.
        """
        target = Path(to)
        if os.fspath(to).endswith("/") or (target.is_dir() and not self.is_folder):
            target /= self._name
        target.parent.mkdir(parents=True, exist_ok=True)
        # Its own name may be as long as the file system takes.
        # In the same folder, since a file can be renamed within one file system only.
        partial = target.with_name(f".pymonik-{os.getpid()}-{next(_numbers)}.part")
        try:
            self._write(partial)
            _replace(partial, target)
        except BaseException:
            _remove(partial)
            raise
        return target

    def _write(self, path: Path) -> None:
        ref = self._known()
        # Of a folder on this machine it holds the tar.
        sealed = self._seal() if self._stored is None else None
        with self._opened(self._path if sealed is None else sealed.path) as source:
            if ref.is_folder:
                from pymonik.files.folder_tars import unpack  # tarfile takes an executor 5 ms

                unpack(source, path)
                return
            with path.open("xb") as file:
                while data := source.read(_PORTION):
                    file.write(data)
        if ref.is_executable:
            path.chmod(path.stat().st_mode | 0o111)

    def _opened(self, path: str) -> IO[bytes]:
        if self._stored is None:
            return open(path, "rb")  # noqa: PTH123
        return self._stored.opened(self._known())

    # -- inside ----------------------------------------------------------------------------------

    def _refuse_folder(self, what: str) -> None:
        if os.path.isdir(self._path) if self._path else self._known().is_folder:  # noqa: PTH112
            raise UsageError(f"{self._name!r} is a folder, which cannot be {what}; save it")

    def _known(self) -> FileRef:
        return self._seal().ref if self._ref is None or self._was_changed() else self._ref

    def _seal(self) -> Sealed:
        """The file as it is now; one of the cluster is where it is."""
        if self._ref is None or self._was_changed() or (self._path and not self._ref.result_id):
            # At its place in a folder, where it has no result if it came with a value.
            return sealing.seal(self._path, self._name, is_linked=self._link)
        # The owner keeps the pack open that gives the bytes.
        if self._stored is None or self._ref.result_id:
            return Sealed(self._ref, path=self._path, owner=self._stored)
        # It came with a value, and has no result yet: what else is known of it goes on.
        ref = msgspec.structs.replace(self._ref, blob=-1, offset=0)
        with self._stored.opened(self._ref) as file:
            return Sealed(ref, data=file.read())

    def _was_changed(self) -> bool:
        """Whether a task has written to its own copy; of a folder one look does not tell."""
        if not self._path or self._ref is None:
            return False
        about = os.stat(self._path)  # noqa: PTH116
        return self._ref.is_folder or sealing.mark_of(about)[:4] != self._mark[:4]

    def __reduce__(self) -> tuple[object, ...]:
        if self._ref is not None:
            raise TypeError(f"the file {self._name!r} is of a session: save it, pickle its path")
        return _file_at, (self._path, self._name, self._link)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, File):
            return NotImplemented
        return (self._path, self._name, self._ref) == (other._path, other._name, other._ref)

    def __hash__(self) -> int:
        return hash((self._path, self._name, self._ref))

    def __repr__(self) -> str:
        place = repr(self._path) if self._path else "in the cluster"
        return f"<File {self._name!r} {place}>"


def _ending(path: str) -> str:
    """The last part of a path; that of the current folder for one like ``"."``."""
    ending = os.path.basename(path.rstrip("/"))  # noqa: PTH119
    if ending in ("", ".", ".."):
        ending = os.path.basename(os.path.abspath(path))  # noqa: PTH100, PTH119
    return ending


def _replace(partial: Path, target: Path) -> None:
    """Give what is complete its name; a folder of that name goes, as a file does."""
    try:
        os.replace(partial, target)  # noqa: PTH105
    except OSError as error:
        if error.errno not in _OF_FOLDERS or target.is_symlink() or not partial.is_dir():
            raise
        # No system call replaces a folder that is not empty: it is moved away first.
        old = partial.with_suffix(".old")
        target.rename(old)
        partial.rename(target)
        _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        import shutil

        shutil.rmtree(path, ignore_errors=True)
        return
    with contextlib.suppress(OSError):
        path.unlink()


def _file_at(path: str, name: str, link: bool | None) -> File:  # noqa: FBT001
    return File(path, name, link=link)
