"""Folders as tars: unpacked below a place that nothing in them can leave."""

from __future__ import annotations

import tarfile
from typing import IO, TYPE_CHECKING, Final

from pymonik.errors import UsageError
from pymonik.wire import names

if TYPE_CHECKING:
    from pathlib import Path

_PORTION: Final = 1 << 20  # bytes that are written at once


def unpack(tar: IO[bytes], folder: Path) -> None:
    """Make a folder of what a tar holds.

    Raises:
        UsageError: A name in it leads elsewhere, or it holds a link or a device.
        OSError: It cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=tar, mode="r|") as reader:
        for info in reader:
            target = folder / names.checked(info.name.rstrip("/"))
            if info.isdir():
                target.mkdir(parents=True, exist_ok=True)
            elif info.isreg():
                target.parent.mkdir(parents=True, exist_ok=True)
                _extract(reader, info, target)
            else:
                raise UsageError(f"{info.name!r} in a folder is neither a file nor a folder")


def _extract(reader: tarfile.TarFile, info: tarfile.TarInfo, target: Path) -> None:
    source = reader.extractfile(info)
    if source is None:
        raise UsageError(f"{info.name!r} in a folder has no bytes")
    with target.open("xb") as file:
        while data := source.read(_PORTION):
            file.write(data)
    if info.mode & 0o100:
        target.chmod(0o755)
