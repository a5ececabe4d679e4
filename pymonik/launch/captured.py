"""Runs a program to its end, and keeps what it writes: all of little, start and end of much."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import time
from collections import deque
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final

from pymonik.launch.leftovers import Leftovers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MOST_BYTES: Final = 4 << 20  # of each stream: half from its start, half from its end
_PORTION: Final = 1 << 16  # bytes: what a pipe of Linux holds
# Seconds between two looks at whether the program has ended, on systems without a descriptor that
# tells it.
_LOOK_S: Final = 0.02
NOT_FOUND, NOT_EXECUTABLE = 127, 126  # exit codes of shells for what cannot be started


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended.

    Attributes:
        rc: Its exit code; the negative number of a signal that ended it.
        seconds: From its start to its end.
        stdout: What it wrote.
        stderr: The same.
    """

    rc: int
    seconds: float
    stdout: bytes
    stderr: bytes


class _Kept:
    """Start and end of a stream."""

    def __init__(self) -> None:
        self._start = bytearray()
        # Portions as they were read: the oldest is dropped as a whole, which copies nothing.
        self._end: deque[bytes] = deque()
        self._end_bytes = 0
        self._left_out = 0

    def add(self, data: bytes) -> None:
        room = MOST_BYTES // 2 - len(self._start)
        if room > 0:
            self._start += data[:room]
            data = data[room:]
        if data:
            self._end.append(data)
            self._end_bytes += len(data)
            while self._end_bytes - len(self._end[0]) >= MOST_BYTES // 2:
                gone = len(self._end.popleft())
                self._end_bytes -= gone
                self._left_out += gone

    def content(self) -> bytes:
        if not self._left_out:
            return bytes(self._start) + b"".join(self._end)
        gap = f"\n... ({self._left_out} bytes are left out) ...\n".encode()
        return bytes(self._start) + gap + b"".join(self._end)


def run(
    words: Sequence[str],
    *,
    folder: str,
    variables: Mapping[bytes, bytes],
    on_output: Callable[[int, bytes], object],
) -> Ended:
    """Run a program in a folder and wait; whatever it leaves running is ended.

    An interrupt, which its group gets too, is raised once it has ended: it may take the grace that
    it was given.

    Args:
        words: The program and its arguments.
        folder: Its current folder.
        variables: All that it has.
        on_output: Called with the number of the stream and what the program wrote, as it comes.
    """
    start = time.monotonic()
    with Leftovers() as leftovers:
        try:
            process = subprocess.Popen(
                words,
                cwd=folder,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
            )
        except (OSError, ValueError) as error:
            return _not_started(words[0], error, start)
        with process:
            kept = _followed(process, leftovers, on_output)
    seconds = time.monotonic() - start
    return Ended(process.returncode, seconds, kept[1].content(), kept[2].content())


def _not_started(program: str, error: Exception, start: float) -> Ended:
    is_there = not isinstance(error, FileNotFoundError)
    reason = getattr(error, "strerror", None) or str(error)
    text = f"{program}: {reason}\n".encode()
    rc = NOT_EXECUTABLE if is_there else NOT_FOUND
    return Ended(rc, time.monotonic() - start, b"", text)


def _followed(
    process: subprocess.Popen[bytes],
    leftovers: Leftovers,
    on_output: Callable[[int, bytes], object],
) -> dict[int, _Kept]:
    """Read until the program has ended, and all that it left."""
    kept = {1: _Kept(), 2: _Kept()}
    streams: dict[int, tuple[int, IO[bytes]]] = {}
    poll = select.poll()
    for number, pipe in ((1, process.stdout), (2, process.stderr)):
        if pipe is not None:
            # After the program has ended, what is left in a pipe is read without waiting for more:
            # a daemon that it has started may hold the other end open.
            os.set_blocking(pipe.fileno(), False)
            streams[pipe.fileno()] = number, pipe
            poll.register(pipe, select.POLLIN)
    with _end_of(process) as ended:
        if ended is not None:
            poll.register(ended, select.POLLIN)
        try:
            # Pipes that end are no reason to stop: a program may close its streams and go on.
            while process.poll() is None:
                for fd, _ in poll.poll(None if ended is not None else _LOOK_S * 1000):
                    if fd in streams and not _read(streams[fd], kept, on_output):
                        poll.unregister(fd)
                        del streams[fd]
        # The terminal has sent the interrupt to the program too, which may use it for an orderly
        # end.
        except KeyboardInterrupt:
            process.wait()
            raise
    leftovers.end()  # or one of them would hold the pipes open
    for stream in streams.values():
        while _read(stream, kept, on_output):
            pass
    return kept


def _read(
    stream: tuple[int, IO[bytes]],
    kept: dict[int, _Kept],
    on_output: Callable[[int, bytes], object],
) -> bool:
    """Read what is there; whether there may be more."""
    number, pipe = stream
    data = pipe.read(_PORTION)
    if not data:
        return False  # nothing is there now, or the end
    kept[number].add(data)
    on_output(number, data)
    return True


@contextlib.contextmanager
def _end_of(process: subprocess.Popen[bytes]):  # type: ignore[no-untyped-def]
    """A descriptor that can be read when the process has ended; ``None`` where there is none."""
    try:
        # Linux from 5.3 on: readable once the process has ended.
        fd = os.pidfd_open(process.pid)
    except (AttributeError, OSError):
        yield None
        return
    try:
        yield fd
    finally:
        os.close(fd)
