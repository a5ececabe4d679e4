"""Files without a name that a parent shares with its executor: in memory, where the system can."""

from __future__ import annotations

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
            file.truncate(size)  # its pages come when they are written
        else:
            file.write(bytes(size))  # a full disk shows now, and not as a signal later
    except OSError as error:
        file.close()
        text = f"the {what} of an executor cannot be written in {place}: {error.strerror}"
        raise OSError(error.errno, text) from error
    return file
