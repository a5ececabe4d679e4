"""Zips of Lambda handlers: checked before they are used, unpacked once on a machine.

::

    <cache>/pymonik/content/archives/<digest>/         what the zip holds; nobody may write there
    <cache>/pymonik/content/archives/<digest>.lock     held while a process uses the folder

Whoever has sent a zip may run code here anyway. What is checked is that a mistake, or a zip from
elsewhere, does not write outside of its folder and does not fill the disk.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import stat
import tempfile
import zipfile
import zlib
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, Final

from pymonik.content.kept_folders import KeptFolders, alone
from pymonik.content.unpacked import default_folder
from pymonik.errors import SerializationError

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_BYTES: Final = 4 << 30  # of one zip, unpacked; AWS allows 250 MB
# Files of one zip: each costs an inode and a row in the folder, whatever its size.
MOST_FILES: Final = 200_000
KEPT_BYTES: Final = 8 << 30  # of all zips that are kept, unpacked; those used longest ago go first
_LONGEST_NAME: Final = 255  # bytes: what file systems of Linux take
_lzma: Any = getattr(zipfile, "lzma", None)  # some Pythons are built without it
# Errors that `zipfile` raises for bytes that are no zip, or a damaged one. They have no class in
# common: each of its decompressors has its own.
_UNREADABLE: Final = (
    zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError, zlib.error,
    UnicodeDecodeError, *((_lzma.LZMAError,) if _lzma is not None else ()),
)  # fmt: skip
_PORTION: Final = 1 << 20  # bytes that are read at once


def entries_of(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The files in a zip; of several that have one name the last, as all tools take it.

    Raises:
        SerializationError: It holds what leads out of its folder, or too much.
    """
    # Entries of folders are left out: a folder is made for the files in it, with our mode.
    entries = list({one.filename: one for one in archive.infolist() if not one.is_dir()}.values())
    if len(entries) > MOST_FILES:
        raise SerializationError(f"the zip has {len(entries)} files, at most {MOST_FILES} may")
    if (total := sum(one.file_size for one in entries)) > MOST_BYTES:
        raise SerializationError(f"the zip has {total} bytes, at most {MOST_BYTES} may")
    for entry in entries:
        _check(entry)
    _check_places(entries)
    return entries


def _check_places(entries: list[zipfile.ZipInfo]) -> None:
    paths: dict[PurePosixPath, str] = {}
    for entry in entries:
        other = paths.setdefault(PurePosixPath(entry.filename), entry.filename)
        if other != entry.filename:
            raise SerializationError(f"the zip holds {entry.filename!r} and {other!r}: one place")
    for path, name in paths.items():
        if around := next((paths[folder] for folder in path.parents if folder in paths), None):
            raise SerializationError(f"the zip holds {name!r} below {around!r}, which is a file")


def _check(entry: zipfile.ZipInfo) -> None:
    path = PurePosixPath(entry.filename)
    # A backslash is part of a name here and a separator on Windows: no tool that writes zips for
    # Linux uses one.
    if path.is_absolute() or ".." in path.parts or "\\" in entry.filename or not path.parts:
        raise SerializationError(f"the zip holds {entry.filename!r}, which leads out of its folder")
    if any(len(part.encode(errors="replace")) > _LONGEST_NAME for part in path.parts):
        raise SerializationError(f"the zip holds {entry.filename!r}: no file can be called that")
    # The upper half of ``external_attr`` is the mode of Unix, or 0 where the zip comes from
    # elsewhere. A link could lead out of the folder, and what is written through it with it.
    if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG):
        raise SerializationError(f"the zip holds {entry.filename!r}, which is no plain file")
    # Bit 0 of the flags says that the entry is encrypted.
    if entry.flag_bits & 1:
        raise SerializationError(f"the zip holds {entry.filename!r}, which needs a password")


@contextlib.contextmanager
def opened(source: str | bytes | IO[bytes]) -> Iterator[zipfile.ZipFile]:
    """A zip by its path, its bytes or its file.

    Raises:
        SerializationError: It is none.
    """
    try:
        file = io.BytesIO(source) if isinstance(source, bytes) else source
        with zipfile.ZipFile(file) as archive:
            yield archive
    except _UNREADABLE as error:
        raise SerializationError(f"this is no zip that can be read: {error}") from error


class UnpackedArchives:
    """The zips that one process uses; thread-safe.

    Args:
        folder: Where they are kept; by default in the user's cache.
        instead: Where they are kept when nothing can be written there.
    """

    def __init__(self, folder: Path | None = None, *, instead: Path | None = None) -> None:
        self._folders = KeptFolders[str]("archives", folder or default_folder(), instead)

    def get(self, digest: str, source: str | bytes) -> str:
        """The folder of a zip, which stays until `close`.

        Args:
            digest: SHA-256 of its bytes, in hexadecimal.
            source: Its path, or its bytes.

        Raises:
            SerializationError: It is damaged, or holds what it may not.
            OSError: It cannot be written here.
        """
        return self._folders.find(digest, partial(_fill, digest, source), str)

    def close(self) -> None:
        """Let go of all folders: they may be removed when room is needed."""
        self._folders.close()


def _fill(digest: str, source: str | bytes, place: Path) -> None:
    _unpack(digest, source, place)
    _make_room(place.parent)


def _unpack(digest: str, source: str | bytes, place: Path) -> None:
    """Called by one builder at a time; what a killed one has left goes first."""
    for left in place.parent.glob(f".{digest}-*"):
        _remove(left)
    # The digest names the folder that all later calls share: a file that was changed after it was
    # sent must not get into it.
    if _digest_of(source) != digest:
        raise SerializationError("the zip is not what it was when it was sent")
    building = Path(tempfile.mkdtemp(prefix=f".{digest}-", dir=place.parent))
    try:
        with opened(source) as archive:
            # Counted again while it is written: `entries_of` can only add up what the zip says of
            # itself.
            left_bytes = MOST_BYTES
            for entry in entries_of(archive):
                left_bytes -= _extract(archive, entry, building, left_bytes)
        _seal(building)
        # Others look for ``place`` without a lock of the builder's, so it appears complete.
        building.rename(place)
    finally:
        _remove(building)


def _seal(folder: Path) -> None:
    """Have nobody add or replace files: all executors of the zip share them.

    Python may keep what it compiles: whoever reads that compares it with its source.
    """
    for place, _, names in os.walk(folder, topdown=False):
        if any(name.endswith(".py") for name in names):
            # Made before the folder is closed to writers: without it Python would compile each
            # module again in every executor.
            with contextlib.suppress(FileExistsError):
                Path(place, "__pycache__").mkdir(mode=0o700)
        Path(place).chmod(0o555)


def _remove(folder: Path) -> None:
    """Delete a folder; who is not root has to be let into its folders first."""
    # From the top: a folder must be opened before `os.walk` can look into it.
    for place, _, _ in os.walk(folder):
        with contextlib.suppress(OSError):
            Path(place).chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)


def _extract(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path, most_bytes: int
) -> int:
    """Write one file, and count its bytes: what the zip says of its size may be a lie."""
    path = folder / entry.filename
    path.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with archive.open(entry) as packed, path.open("xb") as file:
        while data := packed.read(_PORTION):
            written += len(data)
            if written > most_bytes:
                raise SerializationError(f"the zip holds more than {MOST_BYTES} bytes")
            file.write(data)
    is_program = (entry.external_attr >> 16) & stat.S_IXUSR
    path.chmod(0o555 if is_program else 0o444)  # all executors share it: nobody may write into it
    return written


def _digest_of(source: str | bytes) -> str:
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    digest = hashlib.sha256()
    with open(source, "rb", buffering=0) as file:  # noqa: PTH123 - no need for a Path
        while data := file.read(_PORTION):
            digest.update(data)
    return digest.hexdigest()


def _make_room(folder: Path) -> None:
    """Remove zips that nobody uses, those used longest ago first, while there is too much."""
    # `KeptFolders` sets the time of the lock at each use. The lock files stay, empty: a process may
    # have one open and wait for it, and would hold a lock that nobody else sees.
    locks = sorted(folder.glob("*.lock"), key=lambda path: path.stat().st_mtime)
    sizes = {lock: _nbytes(lock.with_suffix("")) for lock in locks}
    total = sum(sizes.values())
    for lock in locks:
        if total <= KEPT_BYTES:
            return
        with alone(lock) as is_unused:
            if is_unused:
                _remove(lock.with_suffix(""))
                total -= sizes[lock]


def _nbytes(folder: Path) -> int:
    return sum(
        Path(place, name).lstat().st_size for place, _, names in os.walk(folder) for name in names
    )
