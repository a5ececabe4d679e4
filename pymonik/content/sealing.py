"""Files of the user as they travel: what they are called, how large they are, and their digests.

The digest of a large file takes longer than a copy of it. So it is taken once, and again only when
the file may have changed: its place, size, inode or times are others. Times of files have a grain;
a digest that was taken within it may miss a change that came later, and is not remembered.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import threading
import time
import weakref
from collections import OrderedDict
from typing import IO, TYPE_CHECKING, Final

from pymonik.code.references import Sealed
from pymonik.wire import names
from pymonik.wire.call import FileRef

if TYPE_CHECKING:
    import tarfile
    from collections.abc import Iterator

_PORTION: Final = 1 << 20  # bytes that are read at once
_GRAIN_S: Final = 0.05  # of the times of files; that of Linux is 10 ms at most
_REMEMBERED: Final = 100_000  # digests of files
_REMEMBERED_FOLDERS: Final = 32  # each has its tar on the disk

Mark = tuple[int, ...]

# Both in the order of their last use: the one that was not used for the longest time goes first.
_digests: OrderedDict[tuple[str, Mark], str] = OrderedDict()
_folders: OrderedDict[str, _Folder] = OrderedDict()
_lock = threading.RLock()  # guards both
# Of a thread, since calls that are made together are made in one: see `one_moment`.
_moment = threading.local()


def seal(path: str, name: str, *, is_linked: bool | None = None) -> Sealed:
    """A file or a folder as it is now.

    Raises:
        OSError: It is not there, or cannot be read.
        UsageError: The name leaves the folder of a call.
    """
    key = path, name, is_linked
    memo: dict[object, Sealed] | None = getattr(_moment, "memo", None)
    if memo is None:
        return _sealed(path, name, is_linked=is_linked)
    if key not in memo:
        memo[key] = _sealed(path, name, is_linked=is_linked)
    # A copy for each call: the session writes into a `Sealed` where its bytes have gone to.
    known = memo[key]
    return Sealed(known.ref, path=known.path, data=known.data, mark=known.mark, owner=known.owner)


@contextlib.contextmanager
def one_moment() -> Iterator[None]:
    """In this thread, look at each file once: calls that are made together see it at one time."""
    if getattr(_moment, "memo", None) is not None:
        yield
        return
    _moment.memo = {}
    try:
        yield
    finally:
        _moment.memo = None


def _sealed(path: str, name: str, *, is_linked: bool | None) -> Sealed:
    names.checked(name)
    about = os.stat(path)  # noqa: PTH116 - no need for a Path
    if stat.S_ISDIR(about.st_mode):
        return _folder(path).sealed(name, is_linked=is_linked)
    if not stat.S_ISREG(about.st_mode):
        raise OSError(f"{path} is neither a file nor a folder")
    mark = mark_of(about)
    ref = FileRef(
        name,
        about.st_size,
        digest_of(path, mark),
        is_executable=bool(about.st_mode & stat.S_IXUSR),
        is_linked=is_linked,
    )
    return Sealed(ref, path=path, mark=mark)


def seal_bytes(name: str, data: bytes) -> Sealed:
    """A file of these bytes."""
    ref = FileRef(names.checked(name), len(data), hashlib.sha256(data).hexdigest())
    return Sealed(ref, data=data)


def mark_of(about: os.stat_result) -> Mark:
    """What changes when a file does."""
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns


def digest_of(path: str, mark: Mark) -> str:
    """SHA-256 of a file that has this mark.

    Raises:
        OSError: It cannot be read, or changes meanwhile.
    """
    key = os.path.abspath(path), mark  # noqa: PTH100 - compared as text
    with _lock:
        known = _digests.get(key)
        if known is not None:
            _digests.move_to_end(key)
            return known
    began_ns = time.time_ns()
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123
        digest = _hash(file)
        # Asked of the open file: under the path there may be another one by now.
        after = mark_of(os.fstat(file.fileno()))
    if after != mark:
        raise OSError(f"{path} changes while it is read")
    # The times of the last change of the content and of the inode.
    changed_ns = max(mark[3:])
    if began_ns - changed_ns > _GRAIN_S * 1e9:
        with _lock:
            _digests[key] = digest
            if len(_digests) > _REMEMBERED:
                _digests.popitem(last=False)
    return digest


def _hash(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    buffer = bytearray(_PORTION)
    view = memoryview(buffer)
    while count := file.readinto(buffer):  # type: ignore[attr-defined]
        digest.update(view[:count])
    return digest.hexdigest()


# -- folders -------------------------------------------------------------------------------------


class _Tar:
    """A temporary file, owned by each `Sealed` of it: it goes when nobody can send it any more."""

    def __init__(self) -> None:
        import tempfile  # it takes an executor 3 ms

        descriptor, self.path = tempfile.mkstemp(prefix="pymonik-folder-")
        os.close(descriptor)
        weakref.finalize(self, _remove, self.path, os.getpid())


def _remove(path: str, owner: int) -> None:
    if os.getpid() == owner:  # not in a fork, which has the same files
        with contextlib.suppress(OSError):
            os.unlink(path)  # noqa: PTH108


class _Folder:
    """A folder as one tar: equal content gives equal bytes, whoever has it and since when.

    The tar is made again when a file in the folder has changed.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._marks: dict[str, Mark] = {}
        self._tar: _Tar | None = None
        self._digest = ""
        self._size = 0
        self._lock = threading.RLock()  # one thread makes the tar

    def sealed(self, name: str, *, is_linked: bool | None) -> Sealed:
        with self._lock:
            found = dict(_entries(self._path))
            if self._tar is None or found != self._marks:
                self._pack(found)
                self._marks = found
            tar = self._tar
            assert tar is not None
            ref = FileRef(name, self._size, self._digest, is_folder=True, is_linked=is_linked)
            return Sealed(ref, path=tar.path, mark=mark_of(os.stat(tar.path)), owner=tar)  # noqa: PTH116

    def _pack(self, found: dict[str, Mark]) -> None:
        import tarfile  # it takes an executor 5 ms, and few send folders

        tar = _Tar()
        # Links are followed: what they lead to may be elsewhere, and two names of one file are two.
        with tarfile.open(
            tar.path, mode="w", format=tarfile.PAX_FORMAT, dereference=True
        ) as writer:
            for relative in sorted(found):
                writer.add(
                    os.path.join(self._path, relative),  # noqa: PTH118
                    relative,
                    recursive=False,
                    filter=_same_for_all,
                )
        with open(tar.path, "rb", buffering=0) as file:  # noqa: PTH123
            self._digest = _hash(file)
            self._size = file.tell()
        self._tar = tar


def _folder(path: str) -> _Folder:
    key = os.path.abspath(path)  # noqa: PTH100
    with _lock:
        found = _folders.setdefault(key, _Folder(key))
        _folders.move_to_end(key)
        if len(_folders) > _REMEMBERED_FOLDERS:
            _folders.popitem(last=False)
        return found


def _entries(top: str) -> Iterator[tuple[str, Mark]]:
    """Files and folders below a folder, by their relative names; links are followed."""
    waiting: list[tuple[str, tuple[tuple[int, int], ...]]] = [("", (_place(os.stat(top)),))]  # noqa: PTH116
    while waiting:
        below, around = waiting.pop()
        with os.scandir(os.path.join(top, below)) as entries:  # noqa: PTH118
            for entry in entries:
                name = f"{below}/{entry.name}" if below else entry.name
                about = entry.stat()
                if stat.S_ISDIR(about.st_mode):
                    if _place(about) in around:
                        raise OSError(f"{entry.path} leads to a folder around it")
                    waiting.append((name, (*around, _place(about))))
                    yield name, (about.st_mode,)
                elif stat.S_ISREG(about.st_mode):
                    yield name, mark_of(about)


def forget_folders(around: str) -> None:
    """Let go of the tars of folders that are removed with the one around them.

    Folders that a task returns lie in a folder of its call, under names that no later call uses.
    """
    with _lock:
        for path in [path for path in _folders if path.startswith(f"{around}/")]:
            del _folders[path]


def _place(about: os.stat_result) -> tuple[int, int]:
    return about.st_dev, about.st_ino


def _same_for_all(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without times and owners, so that equal files make equal tars."""
    info.mtime = 0
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    # Modes depend on the umask of whoever made the files: only the bit for programs means
    # something.
    info.mode = 0o755 if info.isdir() or info.mode & stat.S_IXUSR else 0o644
    return info
