"""Raw results: the bytes of a file as they are, on their way into the cluster.

Where the storage is at hand the file system copies them; else they leave in portions, so that a
file of many gigabytes takes no more memory than a small one.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from pymonik.content import copies, objects
from pymonik.content.sealing import mark_of
from pymonik.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pymonik.code.references import Sealed

_PORTION: Final = 1 << 20  # bytes


def content(file: Sealed) -> bytes:
    """All bytes of a small file.

    Raises:
        UsageError: It has changed since its digest was taken.
    """
    return file.data if file.data is not None else b"".join(portions(file))


def portions(file: Sealed) -> Iterator[bytes]:
    """The bytes of a file, a portion at a time.

    Raises:
        UsageError: It has changed since its digest was taken.
    """
    if file.data is not None:
        yield file.data
        return
    left = file.ref.size
    with open(file.path, "rb", buffering=0) as opened:  # noqa: PTH123
        while left and (data := opened.read(min(left, _PORTION))):
            left -= len(data)
            yield data
        _check(file, opened.fileno())


def place(file: Sealed, folder: Path, name: str) -> None:
    """Copy a file into a folder of objects.

    Raises:
        UsageError: It has changed since its digest was taken.
        OSError: It cannot be written.
    """
    if file.data is not None:
        objects.store(folder, name, [file.data])
        return
    home = objects.home(folder, file.ref.size)
    path = objects.path_in(home, name)
    try:
        with open(file.path, "rb", buffering=0) as source, open(path, "xb") as target:  # noqa: PTH123
            # An object is its owner's alone, as `objects.create` makes it, whatever the umask is.
            os.fchmod(target.fileno(), 0o600)
            copies.copy(source.fileno(), target.fileno(), file.ref.size)
            # Checked after the copy, and before the object can be found: a file that was written to
            # meanwhile may be copied half old and half new.
            _check(file, source.fileno())
        objects.show(folder, home, name)
    except BaseException:
        objects.remove(path)
        raise


def _check(file: Sealed, descriptor: int) -> None:
    if mark_of(os.fstat(descriptor)) != file.mark:
        raise UsageError(
            f"the file {file.path} was changed while it was sent: a call gets it as it was when "
            "the call was made"
        )
