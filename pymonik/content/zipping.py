"""Folders of programs as zips: equal content gives equal bytes, whoever packs it and when."""

from __future__ import annotations

import os
import stat
import zipfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_EARLIEST: Final = (1980, 1, 1, 0, 0, 0)  # the time of each file; the format knows none before it
# Folders that tools make beside a program: large, and no part of what it does.
_NEVER_PACKED: Final = frozenset({"__pycache__", ".git", ".venv", "venv", ".mypy_cache"})
_COMPRESSION: Final = {True: zipfile.ZIP_DEFLATED, False: zipfile.ZIP_STORED}  # by `is_small`
_PORTION: Final = 1 << 20  # bytes that are read at once


def write_zip(
    target: IO[bytes] | Path, files: Iterable[tuple[str, Path]], *, is_small: bool
) -> None:
    """Write a zip.

    Args:
        target: Where.
        files: Names in the zip, with `/`, and the files; in any order, links are followed.
        is_small: Whether it is worth the time to compress it: 25 ms for each MB.
    """
    with zipfile.ZipFile(target, "w", _COMPRESSION[is_small]) as archive:
        for name, path in sorted(files):
            _add(archive, name, path)


def files_below(folder: Path) -> Iterator[tuple[str, Path]]:
    """The files of a program in a folder, by their names below it; what is compiled is left out.

    Pipes and sockets are no files of it: whoever opens one waits.

    Raises:
        OSError: A link leads nowhere, or to a folder around it.
    """
    for place, folders, names in os.walk(folder, followlinks=True):
        # In place: `os.walk` goes into what is left in this list.
        folders[:] = [name for name in folders if name not in _NEVER_PACKED]
        for name in folders:
            _refuse_circle(Path(place, name))
        for name in names:
            path = Path(place, name)
            if not name.endswith(".pyc") and stat.S_ISREG(path.stat().st_mode):
                yield path.relative_to(folder).as_posix(), path


def _refuse_circle(path: Path) -> None:
    if path.is_symlink() and path.parent.resolve().is_relative_to(path.resolve()):
        raise OSError(f"{path} leads to a folder around it")


def _add(archive: zipfile.ZipFile, name: str, path: Path) -> None:
    info = zipfile.ZipInfo(name, _EARLIEST)
    info.create_system = 3  # Unix: the mode counts
    is_program = path.stat().st_mode & stat.S_IXUSR
    info.external_attr = (stat.S_IFREG | (0o755 if is_program else 0o644)) << 16
    info.compress_type = archive.compression
    # The size is not known to `zipfile` yet, which otherwise refuses what grows past 2 GB.
    with path.open("rb") as source, archive.open(info, "w", force_zip64=True) as target:
        while data := source.read(_PORTION):
            target.write(data)
