"""What travels together: a whole package, a module alone with its data, or a zip archive."""

from __future__ import annotations

import os
import types
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from pymonik.code import travelling_files
from pymonik.code.travelling_files import hashes, stat_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pymonik.code.travelling_files import Stat

# Bounds of what travels unasked, for which a warning tells what stays here: a folder beside a
# module may hold the data of years. What `include=` names has no bounds of bytes.
FILE_BYTES: Final = 32 * 1024 * 1024  # of one file that is not code
DATA_BYTES: Final = 256 * 1024 * 1024  # of all files of a unit that are not code
MOST_FILES: Final = 20_000  # of one unit


class Unit:
    """The files of one top-level name below one root.

    Args:
        root: Where imports of it start.
        paths: The files and folders that it stands for, absolute.
        exclude: Patterns of what stays here.
        is_asked_for: Whether the user named the paths: then data of any size travel.

    Attributes:
        digests: Digest and size of each file, by its path below the root, with ``/``.
        new: Bytes of files that were read, by digest, until somebody takes them.
        left_out: Why files stay here that one could expect to travel, by path.
    """

    def __init__(
        self,
        root: str,
        paths: Sequence[str],
        exclude: Sequence[str],
        *,
        is_asked_for: bool = False,
    ) -> None:
        self.root = root
        self.digests: dict[str, tuple[str, int]] = {}
        self.new: dict[str, bytes] = {}
        self.left_out: dict[str, str] = {}
        self._paths = list(paths)
        self._exclude = exclude
        self._is_asked_for = is_asked_for
        self._stats: dict[str, Stat | None] = {}
        self._files: dict[str, str] = {}  # path below the root, by absolute path
        self._read()

    def add(self, path: str) -> None:
        """Let one more file or folder belong to it."""
        if path not in self._paths:
            self._paths.append(path)
            self._read()

    def changed(self) -> list[str]:
        """Files and folders that are not what they were; what is here is up to date afterwards."""
        changed = [path for path, stat in self._stats.items() if stat_of(path) != stat]
        if changed:
            self._read()
        return changed

    def read(self, path: str) -> bytes:
        """The bytes of one of its files, for whoever cannot wait until it changes."""
        return travelling_files.read(os.path.join(self.root, path))

    def __len__(self) -> int:
        return len(self._stats)

    def _read(self) -> None:
        self._stats, self._files, before = {}, {}, self.digests
        self.digests, self.left_out = {}, {}
        data_bytes = 0
        for path, is_folder in self._all():
            stat = stat_of(path)
            self._stats[path] = stat
            if stat is None or is_folder:
                continue
            below = os.path.relpath(path, self.root).replace(os.sep, "/")
            # Two of the paths may overlap: a folder, and a file in it that was added alone.
            if below in self.digests or travelling_files.matches(below, self._exclude):
                continue
            data = 0 if path.endswith(travelling_files.CODE) else stat[1]
            if why := self._too_much(data, data_bytes):
                self.left_out[path] = why
                continue
            data_bytes += data
            self._take(path, below, stat, before)

    def _too_much(self, nbytes: int, before: int) -> str:
        """Why a data file of that size does not travel, behind others of ``before`` bytes."""
        if len(self.digests) >= MOST_FILES:
            return f"more than {MOST_FILES} files"
        if self._is_asked_for:
            return ""
        if nbytes > FILE_BYTES:
            return f"larger than {FILE_BYTES >> 20} MiB"
        return f"more than {DATA_BYTES >> 20} MiB of data" if before + nbytes > DATA_BYTES else ""

    def _take(self, path: str, below: str, stat: Stat, before: dict[str, tuple[str, int]]) -> None:
        try:
            digest, data = hashes.digest(path, stat)
        except OSError as error:
            self.left_out[path] = str(error.strerror)
            return
        if data is None and before.get(below, ("",))[0] != digest:
            data = travelling_files.read(path)  # another session has read it
            digest = travelling_files.digest_of(data)
        if data is not None:
            self.new[digest] = data
        self.digests[below] = digest, stat[1] if data is None else len(data)
        self._files[path] = below

    def _all(self) -> Iterator[tuple[str, bool]]:
        for path in self._paths:
            if os.path.isdir(path):
                yield from travelling_files.walk(path)
            else:
                yield path, False


class ArchiveUnit(Unit):
    """The files of a zip archive that stands on the path of imports."""

    def __init__(self, root: str, archive: str, exclude: Sequence[str]) -> None:
        self._archive = archive
        super().__init__(root, [archive], exclude)

    def read(self, path: str) -> bytes:
        """The bytes of a file of the archive; see `Unit.read`."""
        return self._content()[path]

    def _read(self) -> None:
        self._stats = {self._archive: stat_of(self._archive)}
        self.digests = {}
        for below, data in self._content().items():
            digest = travelling_files.digest_of(data)
            self.new[digest] = data
            self.digests[below] = digest, len(data)

    def _content(self) -> dict[str, bytes]:
        stat = stat_of(self._archive)
        if stat is None:
            return {}
        below = os.path.relpath(self.root, self._archive).replace(os.sep, "/")
        found = travelling_files.archived(self._archive, stat, "" if below == "." else below)
        return {
            path: data
            for path, data in found.items()
            if path != "__main__.py" and not travelling_files.matches(path, self._exclude)
        }


def data_named_by(code: types.CodeType, root: str) -> list[str]:
    """Files and folders in ``root`` that are not code and that texts in this code name.

    A module alone in a folder does not own what lies beside it: the folder may be somebody's home.
    """
    texts = {text.removeprefix("./").rstrip("/") for text in _texts(code)}
    firsts = {text.partition("/")[0] for text in texts if text}
    patterns = [text for text in firsts if "*" in text and text.strip("*")]
    patterns += [f"*{text}" for text in firsts if text.startswith(".") and text[1:].isalnum()]
    try:
        names = os.listdir(root)
    except OSError:
        return []
    named = [
        name for name in names if name in firsts or any(fnmatchcase(name, p) for p in patterns)
    ]
    return [path for name in sorted(named) if (path := _as_data(root, name))]


def _as_data(root: str, name: str) -> str | None:
    path = os.path.join(root, name)
    is_folder = os.path.isdir(path)
    if travelling_files.is_secret_or_rubbish(name, is_folder=is_folder):
        return None
    if name.endswith(travelling_files.CODE):
        return None
    if is_folder and (
        os.path.exists(os.path.join(path, "pyvenv.cfg"))
        or any(entry.endswith(".py") for entry in os.listdir(path))
    ):
        return None  # a package, which travels if it is imported
    return path


def _texts(code: types.CodeType) -> Iterator[str]:
    for constant in code.co_consts:
        if isinstance(constant, str) and len(constant) < 200 and "\n" not in constant:
            yield constant
        elif isinstance(constant, types.CodeType):
            yield from _texts(constant)
