"""Calls do not meet: what one changed in its process is put back before the next begins.

Where something cannot be put back, the executor is retired: another takes its place. To look at all
of it takes some 20 µs after each task. Between the items of a chunk that take no time,
`put_back_little` looks at what calls change most, in 1 µs.

What a module sets when it is imported stays, as far as it harms nobody: filters that ignore a
certain warning, folders added to `sys.path`. It is imported once, so that would not come back.
"""

from __future__ import annotations

import _locale  # its `setlocale` parses nothing: 0.3 µs
import _signal  # type: ignore[import-not-found]  # its `getsignal` makes no enums: 0.1 µs a signal
import builtins
import contextlib
import faulthandler
import fcntl
import gc
import io
import locale
import os
import signal
import socket
import sys
import threading
import time
import warnings
from itertools import repeat
from typing import TYPE_CHECKING, Any

from pymonik.executor.usage import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pymonik.executor.printed import Printed

_STANDARD = {0: "stdin", 1: "stdout", 2: "stderr"}
_SIGNALS = sorted({*map(int, signal.valid_signals())} - {signal.SIGKILL, signal.SIGSTOP})
_ALL = locale.LC_ALL
_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
_HOOKS = (
    (sys, "excepthook"),
    (sys, "unraisablehook"),
    (sys, "displayhook"),
    (threading, "excepthook"),
    (warnings, "showwarning"),
    (warnings, "formatwarning"),
    (socket, "socket"),
)
CUT_OFF = 121  # exit code of an executor whose call closed the socket to its parent

_File = tuple[int, ...]


class Surroundings:
    """What an executor had around it before its first call.

    Args:
        own_fds: Descriptors of the executor; the first is the socket that it answers on.
        has_own_folder: Whether nobody else uses its current folder: then it is emptied.
    """

    def __init__(self, own_fds: Sequence[int], *, has_own_folder: bool = False) -> None:
        self._copies = {fd: os.dup(fd) for fd in _STANDARD}  # calls may close or redirect theirs
        self._files = {fd: _file(fd) for fd in _STANDARD}
        self._standard_files = list(self._files.values())
        self._streams = {name: getattr(sys, name) for name in _STANDARD.values()}
        self._socket = own_fds[0]
        self._socket_file = _file(own_fds[0])
        # Not of the copies: to put back a standard stream with one that was closed fails anyway.
        self._own_fds = tuple(own_fds)
        self._flags = self._flags_now()
        self._folder = os.getcwd()  # noqa: PTH109 - compared as text
        self._has_own_folder = has_own_folder
        self._environ = os.environ
        self._variables = dict(os.environb)
        self._data: dict[bytes, bytes] = os.environ._data  # type: ignore[attr-defined]
        self._data_before = dict(self._data)
        self._mask = os.umask(0o077)
        os.umask(self._mask)
        self._handlers: list[Any] = []
        self._blocked = _signal.pthread_sigmask(signal.SIG_BLOCK, ())
        self._hooks = [(owner, name, getattr(owner, name)) for owner, name in _HOOKS]
        self._limits = Limits()  # hides a module, so before those are noted
        self._builtins = _Names(vars(builtins))
        self._filters = list(warnings.filters)
        self._path = list(sys.path)
        self._modules = _Names(sys.modules, "__main__")
        self._locale = locale.setlocale(_ALL)
        self._settings = [(get, put, get()) for get, put in _settings()]
        self._owner = os.getresuid(), os.getresgid()
        self._priority = os.getpriority(os.PRIO_PROCESS, 0)
        self._processors = _processors()
        self._note_streams()

    def learn_handlers(self) -> None:
        """The handlers of the executor are set: they are what a call finds."""
        self._handlers = list(map(_signal.getsignal, _SIGNALS))

    @property
    def can_answer(self) -> bool:
        """Whether the socket of the executor is still what it was."""
        try:
            return _file(self._socket) == self._socket_file
        except OSError:
            return False

    def put_back_little(self) -> None:
        """After an item that took no time: the folder, variables, and standard streams."""
        if not self._has_its_streams():
            self._put_back_standard_files()
        self._put_back_folder()
        self._put_back_variables()

    def _has_its_streams(self) -> bool:
        try:
            stdin, stdout, stderr = self._standard
            return (
                sys.stdin is stdin
                and sys.stdout is stdout
                and sys.stderr is stderr
                and not (stdin.closed or stdout.closed or stderr.closed)
            )
        except (ValueError, AttributeError):  # a buffer was taken away, a name deleted
            return False

    def _note_streams(self) -> None:
        """Keep at hand what is looked at after each item."""
        self._standard = tuple(self._streams.values())
        self._flushes = [self._streams[_STANDARD[fd]].flush for fd in (1, 2)]

    def flush_own(self) -> None:
        """After an item: what it printed leaves, unless it has put other streams in place."""
        for flush_stream in self._flushes:
            try:  # noqa: SIM105 - `suppress` takes as long as all of it
                flush_stream()
            except (OSError, ValueError):  # noqa: PERF203 - closed by the call
                pass

    def put_back(self) -> str:
        """After a task: put all back but timers; why that cannot be done, or nothing."""
        try:
            return self._put_back_all()
        except (OSError, ValueError, RuntimeError) as error:
            return f"{type(error).__name__}: {error}"

    def _put_back_all(self) -> str:
        if problem := self._changed_for_good():
            return problem
        if not self._has_its_files():
            self._put_back_standard_files()
        self._put_back_folder()
        if self._has_own_folder:
            self._empty_folder()
        self._put_back_variables()
        self._put_back_signals()
        self._put_back_modules()
        self._put_back_warnings()
        self._limits.put_back()
        for get, put, before in self._settings:
            if get() != before:
                put(before)
        for owner, name, before in self._hooks:
            if getattr(owner, name, None) is not before:
                setattr(owner, name, before)
        os.umask(self._mask)
        if _locale.setlocale(_ALL) != self._locale:
            locale.setlocale(_ALL, self._locale)
        return ""

    def _flags_now(self) -> list[int]:
        return list(map(fcntl.fcntl, self._own_fds, repeat(fcntl.F_GETFL)))

    def _changed_for_good(self) -> str:
        try:
            is_same = self._flags_now() == self._flags
        except OSError:
            is_same = False
        if not is_same:
            return "descriptors of the executor were closed or replaced"
        if (os.getresuid(), os.getresgid()) != self._owner:
            return "the process belongs to another user"
        if os.getpriority(os.PRIO_PROCESS, 0) != self._priority:
            return "the priority of the process was changed"
        if _processors() != self._processors:
            return "the processors of the process were changed"
        return ""

    def put_back_timers(self) -> None:
        """Stop timers that the call has started."""
        for timer in _TIMERS:
            if signal.getitimer(timer) != (0.0, 0.0):
                signal.setitimer(timer, 0.0)
        faulthandler.cancel_dump_traceback_later()
        if not faulthandler.is_enabled():
            faulthandler.enable(self._copies[2])

    def _has_its_files(self) -> bool:
        """Whether the standard streams are what they were; most calls leave them alone."""
        try:
            return (
                list(map(_file, _STANDARD)) == self._standard_files
                and all(map(os.get_blocking, _STANDARD))
                and self._has_its_streams()
            )
        except OSError:
            return False

    def _put_back_standard_files(self) -> None:
        for fd, name in _STANDARD.items():
            try:
                is_same = _file(fd) == self._files[fd]
            except OSError:
                is_same = False
            if not is_same:
                os.dup2(self._copies[fd], fd)
            if not os.get_blocking(fd):  # of the file, which others share
                os.set_blocking(fd, True)
            if not _is_open(self._streams[name]):
                _open_stream(fd)
                self._streams[name] = getattr(sys, name)
                self._note_streams()
            if getattr(sys, name, None) is not self._streams[name]:
                setattr(sys, name, self._streams[name])

    def _put_back_folder(self) -> None:
        try:
            is_same = os.getcwd() == self._folder  # noqa: PTH109
        except OSError:
            is_same = False
        if not is_same:
            with contextlib.suppress(OSError):  # removed: then nobody has it
                os.chdir(self._folder)

    def _empty_folder(self) -> None:
        """Have the next task find nothing of this one, nor of what it has started."""
        with os.scandir(self._folder) as entries:
            left = list(entries)
        for entry in left:
            if entry.is_dir(follow_symlinks=False):
                import shutil  # few calls leave folders

                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(entry.path)  # noqa: PTH108

    def _put_back_variables(self) -> None:
        if os.environ is not self._environ:
            os.environ = self._environ  # noqa: B003 - a call has put another in its place
        if self._data == self._data_before:
            return
        had = dict(self._data)
        for name in had.keys() - self._variables.keys():
            del os.environb[name]
        for name, value in self._variables.items():
            if had.get(name) != value:
                os.environb[name] = value
        if had.get(b"TZ") != self._variables.get(b"TZ"):
            time.tzset()

    def _put_back_signals(self) -> None:
        # What Python did not set is `None`, constants are made anew: `==` finds both the same.
        found = list(map(_signal.getsignal, _SIGNALS))
        if found != self._handlers:
            for number, before, handler in zip(_SIGNALS, self._handlers, found, strict=True):
                if before is not None and handler != before:
                    signal.signal(number, before)
        signal.set_wakeup_fd(-1)
        if _signal.pthread_sigmask(signal.SIG_BLOCK, ()) != self._blocked:
            signal.pthread_sigmask(signal.SIG_SETMASK, self._blocked)

    def _put_back_modules(self) -> None:
        self._builtins.put_back(vars(builtins))
        self._modules.put_back(sys.modules)
        if sys.path != self._path:
            added = [entry for entry in sys.path if entry not in self._path]
            sys.path[:] = self._path = [*self._path, *added]

    def _put_back_warnings(self) -> None:
        if warnings.filters == self._filters:
            return
        kept = [one for one in warnings.filters if one not in self._filters and _is_harmless(one)]
        self._filters = [*kept, *self._filters]
        warnings.filters[:] = self._filters  # type: ignore[index]
        warnings._filters_mutated()  # type: ignore[attr-defined]


class _Names:
    """What names stood for; those that came later may stay.

    Args:
        there: The names.
        but: One that may change.
    """

    def __init__(self, there: dict[str, Any], but: str = "") -> None:
        self._but = but
        self._before = dict(there)
        # When it was looked at last: a list is compared in a fourth of the time of a dict.
        self._last = list(there.values())

    def put_back(self, there: dict[str, Any]) -> None:
        """Put back those that stand for something else now."""
        if list(there.values()) == self._last:
            return
        for name, before in self._before.items():
            if there.get(name) is not before and name != self._but:
                there[name] = before
        self._last = list(there.values())


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


def set_up_streams(printed: Printed) -> None:
    """What is printed leaves line by line: it is there when the process dies.

    Args:
        printed: Is told when a stream is written to.
    """
    _InTurn.printed = printed
    for fd in (1, 2):
        _open_stream(fd)
    faulthandler.enable()


def _open_stream(fd: int) -> None:
    name = _STANDARD[fd]
    if fd == 0:
        stream = open(fd, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    else:
        buffer = io.BufferedWriter(_InTurn(fd, "w", closefd=False))
        stream = io.TextIOWrapper(buffer, "utf-8", "backslashreplace", line_buffering=True)
    setattr(sys, name, stream)
    setattr(sys, f"__{name}__", stream)


def flush() -> None:
    """What the call has printed leaves, also if it put other streams in place."""
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        try:  # noqa: SIM105 - `suppress` takes as long as all of it
            stream.flush()  # type: ignore[union-attr]
        except Exception:  # noqa: BLE001, PERF203, S110 - those of user code may raise anything
            pass


def _settings() -> list[tuple[Callable[[], Any], Callable[[Any], object]]]:
    """What gives and sets the settings of the interpreter."""
    pairs: list[tuple[Callable[[], Any], Callable[[Any], object]]] = [
        (sys.getrecursionlimit, sys.setrecursionlimit),
        (sys.getswitchinterval, sys.setswitchinterval),
        (sys.gettrace, sys.settrace),
        (sys.getprofile, sys.setprofile),
        (socket.getdefaulttimeout, socket.setdefaulttimeout),
        (gc.isenabled, lambda on: gc.enable() if on else gc.disable()),
        (gc.get_threshold, lambda numbers: gc.set_threshold(*numbers)),
    ]
    if hasattr(sys, "get_int_max_str_digits"):  # from Python 3.10.7 on
        pairs.append((sys.get_int_max_str_digits, sys.set_int_max_str_digits))
    return pairs


def _is_harmless(entry: Any) -> bool:
    """Whether a filter ignores a certain warning, as modules do when they are imported."""
    action, message, _, module, _ = entry
    return bool(action == "ignore" and (message is not None or module is not None))


def _is_open(stream: Any) -> bool:
    try:
        return not stream.closed
    except ValueError:  # its buffer was taken away
        return False


def _file(fd: int) -> _File:
    # Device and inode; as a slice, since attributes of it take as long as the call of the system.
    return os.fstat(fd)[1:3]


def _processors() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
