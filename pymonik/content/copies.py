"""Copies of files: by the file system where it can, so that no byte passes through this process."""

from __future__ import annotations

import errno
import os
from typing import Final

_PORTION: Final = 1 << 20  # bytes that pass through this process at once
_SYSTEM_PORTION: Final = 1 << 30  # bytes of one `copy_file_range`
# Answers of ``copy_file_range`` after which the bytes are copied by hand: the files lie on two file
# systems, the file system or the kernel does not know the call, or a container forbids it. A disk
# that fails says so to the copy by hand once more.
_CANNOT: Final = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EIO)
_CLONE: Final = 0x40049409  # FICLONE: both files share their blocks until one is written to


def copy(source: int, target: int, size: int, offset: int = 0) -> int:
    """Copy ``size`` bytes from ``offset`` on to the start of a file; how many there were.

    Raises:
        OSError: One of them cannot be read or written.
    """
    # Sharing blocks needs no time that depends on the size, but takes whole files: a part is
    # copied.
    if not offset and _clone(source, target):
        return os.fstat(target).st_size
    copied = _by_system(source, target, size, offset)
    return copied + _by_hand(source, target, size - copied, offset + copied, copied)


def _clone(source: int, target: int) -> bool:
    try:
        import fcntl

        fcntl.ioctl(target, _CLONE, source)
    except (ImportError, OSError):  # another system, or file systems that do not share blocks
        return False
    return True


def _by_system(source: int, target: int, size: int, offset: int) -> int:
    if not hasattr(os, "copy_file_range"):  # on macOS
        return 0
    copied = 0
    while copied < size:
        portion = min(size - copied, _SYSTEM_PORTION)
        try:
            count = os.copy_file_range(source, target, portion, offset + copied, copied)
        except OSError as error:
            if error.errno not in _CANNOT:
                raise
            break
        # Nothing is left, or the file is one that the kernel makes while it is read (as those of
        # /proc are), of which this call copies nothing; the copy by hand finds out.
        if not count:
            break
        copied += count
    return copied


def _by_hand(source: int, target: int, size: int, offset: int, position: int) -> int:
    copied = 0
    while copied < size:
        data = os.pread(source, min(size - copied, _PORTION), offset + copied)
        if not data:
            break
        view = memoryview(data)
        while view:
            written = os.pwrite(target, view, position + copied)
            view = view[written:]
            copied += written
    return copied


def copy_file(source: str, target: str, *, offset: int = 0, size: int | None = None) -> int:
    """Copy a file, or a part of it, to one that is made anew; how many bytes.

    Raises:
        FileExistsError: The target is there.
        OSError: One of them cannot be read or written; no target is left then.
    """
    read = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        whole = os.fstat(read).st_size - offset
        written = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            return copy(read, written, whole if size is None else size, offset)
        except BaseException:
            # The name must be free again: a second try makes the file anew, too.
            os.unlink(target)  # noqa: PTH108
            raise
        finally:
            os.close(written)
    finally:
        os.close(read)
