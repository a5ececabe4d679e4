"""Memory that a parent shares with its executor: files without a name, and numbers in them."""

from __future__ import annotations

import mmap
import os
from typing import IO


def nameless_file(what: str, size: int) -> IO[bytes]:
    """A new file, full of zeros.

    Args:
        what: What it is for; the system shows it to who looks.
        size: Its bytes.

    Raises:
        OSError: There is no room, or the limit of the size of files is lower; the place is named.
    """
    if hasattr(os, "memfd_create"):
        place = "memory"
        file: IO[bytes] = os.fdopen(os.memfd_create(f"pymonik-{what}"), "r+b", buffering=0)
    else:
        import tempfile  # not for executors: they start without it

        place = tempfile.gettempdir()
        file = tempfile.TemporaryFile(prefix=f"pymonik-{what}-", buffering=0)  # noqa: SIM115
    try:
        if place == "memory":
            file.truncate(size)  # the kernel adds its pages, zeros, when they are first written
        else:
            # Written, not truncated: a full disk is an error now. Through the mapping it would be
            # SIGBUS, which ends the process.
            file.write(bytes(size))
    except OSError as error:
        file.close()
        text = f"the {what} of an executor cannot be written in {place}: {error.strerror}"
        raise OSError(error.errno, text) from error
    return file


class SharedNumbers:
    """Numbers of 8 bytes at the places of a file that both sides have mapped.

    A number is written and read as a whole: neither side sees half of one. So the order in which a
    side writes is the order in which the other one sees it.

    Args:
        fd: Of the file; it may be closed after that.
        size: Its bytes, a multiple of 8.
    """

    def __init__(self, fd: int, size: int) -> None:
        self._mapping = mmap.mmap(fd, size)
        self._places = memoryview(self._mapping).cast("Q")

    def close(self) -> None:
        """Free the mapping."""
        self._places.release()
        self._mapping.close()
