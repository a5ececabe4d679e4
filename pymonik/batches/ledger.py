"""`Ledger`: what is known of saved files, kept beside them: of which call, and how they looked.

One line of JSON for each call, written when its files have their names. So a line that is there
tells of files that were complete; files without a line, and half a line, tell nothing. The last
line of a call counts.
"""

from __future__ import annotations

import hashlib
import os
import threading
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pymonik.batches.target import Target


class SavedFile(msgspec.Struct, frozen=True, array_like=True):
    """A saved file.

    Attributes:
        path: From the folder of the ledger.
        size: In bytes, like the other two when it had just been saved.
        mtime_ns: Of its content.
        is_folder: Then its size and time say nothing of what is in it.
    """

    path: str
    size: int
    mtime_ns: int
    is_folder: bool = False


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A call whose files were saved.

    Attributes:
        i: Its number.
        key: Of function, arguments and files; see `pymonik.tasks.resumed`.
        files: By name.
        form: Of its value, as in `pymonik.wire.call.ItemMeta`.
        blobs: The value.
        slots: Names of the files in it.
    """

    i: int
    key: str
    files: dict[str, SavedFile] = {}
    form: int = 0
    blobs: tuple[bytes, ...] = ()
    slots: tuple[str, ...] = ()


# Made once: a line is written for each call.
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Entry).decode


class Ledger:
    """The entries of one target. Thread-safe.

    Args:
        target: Where files are saved.
    """

    def __init__(self, target: Target) -> None:
        self._folder = target.folder
        # Others may save to the same folder under other names.
        mark = hashlib.sha256(os.path.basename(target.pattern).encode()).hexdigest()[:8]  # noqa: PTH119
        self._path = target.folder / f".pymonik-batch-{mark}.jsonl"
        self._lock = threading.RLock()

    def entries(self) -> dict[int, Entry]:
        """The last entry of each call."""
        try:
            lines = self._path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return {}
        found: dict[int, Entry] = {}
        for line in lines:
            try:
                entry = _decode(line)
            except msgspec.MsgspecError:  # the end of a program that died, or another version
                continue
            found[entry.i] = entry
        return found

    def add(
        self,
        index: int,
        key: str,
        paths: Mapping[str, Path],
        form: int,
        blobs: Sequence[bytes],
        slots: Sequence[str],
    ) -> None:
        """Tell that the files of a call lie under these paths.

        Raises:
            OSError: It cannot be written.
        """
        files = {name: self._saved(path) for name, path in paths.items()}
        line = _encode(Entry(index, key, files, form, tuple(blobs), tuple(slots))) + b"\n"
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._lock:
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            try:
                # Else half a line of a program that died would swallow this one.
                if self._ends_in_a_line(fd):
                    line = b"\n" + line
                os.write(fd, line)  # in one piece: others may add lines too
            finally:
                os.close(fd)

    def _ends_in_a_line(self, fd: int) -> bool:
        """Whether somebody died in the middle of one."""
        size = os.fstat(fd).st_size
        if not size:
            return False
        with self._path.open("rb") as file:
            file.seek(size - 1)
            return file.read(1) != b"\n"

    def _saved(self, path: Path) -> SavedFile:
        about = path.stat()
        # The folder may be moved, with its files, and the ledger still tells of them.
        relative = os.path.relpath(path, self._folder)
        return SavedFile(relative, about.st_size, about.st_mtime_ns, path.is_dir())

    def paths(self, entry: Entry) -> dict[str, Path] | None:
        """Where the files of an entry lie; ``None`` if one is gone or was changed since."""
        paths: dict[str, Path] = {}
        for name, file in entry.files.items():
            path = self._folder / file.path
            try:
                now = self._saved(path)
            except OSError:
                return None
            if now.is_folder != file.is_folder:
                return None
            if not now.is_folder and (now.size, now.mtime_ns) != (file.size, file.mtime_ns):
                return None
            paths[name] = path
        return paths
