"""The first line of a process that starts: where it listens, or why it does not.

What it writes on standard error until then is kept, so that the error of a process that cannot
start says what the process said. Then it writes to our own standard error.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pymonik.errors import ConfigError, UnavailableError
from pymonik.launch.death import ending

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

_MOST_SHOWN = 2_000  # characters of what a process said
_END_S = 2.0  # seconds from the end of its output to the end of a process


@contextmanager
def own_stderr() -> Iterator[int]:
    """The standard error of this process, or nowhere if that is closed, as a new descriptor."""
    try:
        fd = os.dup(2)
    except OSError:
        fd = os.open(os.devnull, os.O_WRONLY)
    try:
        yield fd
    finally:
        os.close(fd)


def first_message(process: subprocess.Popen[bytes], timeout_s: float) -> dict[str, Any]:
    """What a process tells once it has started.

    Raises:
        ConfigError: It tells why it cannot.
        UnavailableError: It ended, or took too long.
    """
    line, said = _read(process, time.monotonic() + timeout_s)
    try:
        message: Any = json.loads(line)
    except ValueError:
        message = None
    if not isinstance(message, dict):
        raise UnavailableError("start the cluster", _problem(process, line + said))
    if "error" in message:
        raise ConfigError(message["error"])
    if said and sys.stderr is not None:
        sys.stderr.write(said.decode(errors="replace"))
    return message


def answer(process: subprocess.Popen[bytes], timeout_s: float) -> dict[str, Any]:
    """What a process that has started answers to an order.

    Raises:
        UnavailableError: It ended, or took too long.
    """
    line, _ = _read(process, time.monotonic() + timeout_s)
    if not line.endswith(b"\n"):
        raise UnavailableError("give an order to the cluster", "its process does not answer")
    answered: dict[str, Any] = json.loads(line)
    return answered


def _read(process: subprocess.Popen[bytes], end: float) -> tuple[bytes, bytes]:
    """The line on standard output, and what is on standard error until it has come."""
    if process.stdout is None or process.stderr is None:
        raise RuntimeError("the process has no output")
    texts = {process.stdout.fileno(): b"", process.stderr.fileno(): b""}
    out, err = texts
    poll = select.poll()
    for fd in texts:
        poll.register(fd, select.POLLIN)
    # Both streams are read: a process that writes much to standard error would otherwise stop at a
    # full pipe.
    open_ones = 2
    while open_ones and b"\n" not in texts[out]:
        events = poll.poll(max(end - time.monotonic(), 0) * 1000)
        if not events:
            break
        for fd, _ in events:
            part = os.read(fd, 65_536)
            # The end of what was written says why a process ended; a process that writes for ever
            # fills no memory.
            texts[fd] = (texts[fd] + part)[-65_536:]
            if not part:
                poll.unregister(fd)
                open_ones -= 1
    return texts[out], texts[err]


def _problem(process: subprocess.Popen[bytes], said: bytes) -> str:
    deadline = time.monotonic() + _END_S
    while (code := process.poll()) is None and time.monotonic() < deadline:
        time.sleep(0.01)  # nothing but its end is left to come
    state = "did not start in time" if code is None else f"ended with {ending(code)}"
    text = f"its process {state}; {process.args[0]!r}, which sys.executable names, "  # type: ignore[index]
    shown = said.decode(errors="replace").strip()[-_MOST_SHOWN:]
    return text + (f"wrote:\n{shown}" if shown else "wrote nothing: is it a Python?")
