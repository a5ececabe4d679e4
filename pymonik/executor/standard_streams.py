"""Standard input, output and error of an executor: opened, and put back after calls."""

from __future__ import annotations

import contextlib
import faulthandler
import io
import os
import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pymonik.executor.printed import Printed

_STANDARD: Final = {0: "stdin", 1: "stdout", 2: "stderr"}
# How the output streams are made. A line leaves when it ends, so that it is there when the process
# dies; characters that UTF-8 cannot have (surrogates of file names) are escaped and raise nothing.
_WRITTEN: Final = {"encoding": "utf-8", "errors": "backslashreplace", "line_buffering": True}
_AS_OPENED: Final = {**_WRITTEN, "newline": None, "write_through": False}

File = tuple[int, ...]  # device and inode, see `files_of`


class StandardStreams:
    """The standard streams of this process as they are now."""

    def __init__(self) -> None:
        self._copies = {fd: os.dup(fd) for fd in _STANDARD}  # calls may close or redirect theirs
        self._files = files_of(_STANDARD)
        self._streams = {name: getattr(sys, name) for name in _STANDARD.values()}
        self._note()

    def _note(self) -> None:
        """Keep at hand what is looked at after each item."""
        self._stdin, self._stdout, self._stderr = self._streams.values()
        self._flush_out, self._flush_err = self._stdout.flush, self._stderr.flush

    @property
    def are_there(self) -> bool:
        """Whether the names stand for the streams, and these are open and as they were."""
        try:
            return (
                sys.stdout is self._stdout
                and sys.stderr is self._stderr
                and sys.stdin is self._stdin
                and not _Text.changed
                and not (self._stdin.closed or self._stdout.closed or self._stderr.closed)
            )
        except (ValueError, AttributeError):  # a buffer was taken away, a name deleted
            return False

    @property
    def and_files_are_there(self) -> bool:
        """Whether the files below the streams are there, too; most calls leave them alone."""
        try:
            return (
                files_of(_STANDARD) == self._files
                and all(map(os.get_blocking, _STANDARD))
                and self.are_there
            )
        except OSError:
            return False

    def flush(self) -> bool:
        """What was printed leaves, unless a call has put other streams in place; `are_there`."""
        try:
            self._flush_out()
            self._flush_err()
            # A stream that was closed, or whose buffer was taken away, refuses to be flushed.
            return (
                sys.stdout is self._stdout
                and sys.stderr is self._stderr
                and sys.stdin is self._stdin
                and not _Text.changed
                and not self._stdin.closed
            )
        except (OSError, ValueError, AttributeError):
            with contextlib.suppress(OSError, ValueError):
                self._flush_err()  # the first one was refused
            return False

    def put_back(self) -> None:
        """Have files, streams and names as they were."""
        self._put_back_files()
        for fd, name in _STANDARD.items():
            if not _is_open(self._streams[name]):
                _open(fd)
                self._streams[name] = getattr(sys, name)
                self._note()
            if getattr(sys, name, None) is not self._streams[name]:
                setattr(sys, name, self._streams[name])
        if _Text.changed:
            for fd in (1, 2):  # the objects stay: loggers of the program write to them
                self._streams[_STANDARD[fd]].reconfigure(**_AS_OPENED)
            _Text.changed = False

    def show_crashes(self) -> None:
        """Have a crash of this process write where it was."""
        faulthandler.enable(self._copies[2])

    def _put_back_files(self) -> None:
        for fd, copy in self._copies.items():
            os.dup2(copy, fd)  # does nothing where the file is the same
        for fd in _STANDARD:
            # Non-blocking mode is of the open file, not of the descriptor: a child that set it has
            # set it here too, and a print of the next call would raise `BlockingIOError`.
            if not os.get_blocking(fd):
                os.set_blocking(fd, True)


class _InTurn(io.FileIO):
    """One of two files that says when it is written to after the other was.

    Attributes:
        last: The one that was written to last.
        printed: Is told of it.
    """

    last: _InTurn | None = None
    printed: Printed

    def write(self, data: Any, /) -> int:
        """Write, as any file does."""
        self.printed.has_written = True
        if _InTurn.last is not self:
            _InTurn.last = self
            self.printed.turn()
        return super().write(data)


class _Text(io.TextIOWrapper):
    """One of two streams that remember that a call has set them up anew.

    To compare encoding and errors after each item would take as long as the rest of the look.

    Attributes:
        changed: Whether one of them was set up anew.
    """

    changed = False

    def reconfigure(self, **given: Any) -> None:
        """Set it up anew, as any stream does."""
        _Text.changed = True
        super().reconfigure(**given)


def set_up(printed: Printed) -> None:
    """What is printed leaves line by line: it is there when the process dies.

    Args:
        printed: Is told when a stream is written to.
    """
    _InTurn.printed = printed
    for fd in (1, 2):
        _open(fd)
    faulthandler.enable()


def _open(fd: int) -> None:
    name = _STANDARD[fd]
    stream: io.TextIOWrapper
    if fd == 0:
        stream = open(fd, encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
    else:
        stream = _Text(io.BufferedWriter(_InTurn(fd, "w", closefd=False)), **_WRITTEN)  # type: ignore[arg-type]
    setattr(sys, name, stream)
    setattr(sys, f"__{name}__", stream)


def flush() -> None:
    """What the call has printed leaves, also if it put other streams in place."""
    try:
        streams = (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
    except AttributeError:  # the call has deleted a name
        streams = (getattr(sys, "stdout", None), getattr(sys, "stderr", None), None, None)
    for stream in streams:
        try:  # noqa: SIM105 - `suppress` takes as long as all of it
            stream.flush()  # type: ignore[union-attr]
        except Exception:  # noqa: BLE001, PERF203, S110 - those of user code may raise anything
            pass


def _is_open(stream: Any) -> bool:
    try:
        return not stream.closed
    except ValueError:  # its buffer was taken away
        return False


def files_of(fds: Iterable[int]) -> list[File]:
    """What tells the files that descriptors stand for from all others.

    Raises:
        OSError: One of them is closed.
    """
    # Device and inode; as a slice, since attributes of it take as long as the call of the system.
    return [os.fstat(fd)[1:3] for fd in fds]
