"""Whether a process listens on a unix socket."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def answers(path: Path) -> bool:
    """Whether somebody takes connections there; a socket stays as a file when its process dies."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True
