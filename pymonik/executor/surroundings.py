"""Calls do not meet: what one changed in its process is put back before the next begins.

Where something cannot be put back, the executor is retired: another takes its place. To look at all
of it takes some 20 µs after each task. Between the items of a chunk that take no time,
`put_back_little` looks at what calls change most, in 1 µs.

Settings of the interpreter, variables, handlers and standard streams have files of their own beside
this one, which looks at what the kernel keeps for the process.
"""

from __future__ import annotations

import _locale  # its `setlocale` parses nothing: 0.3 µs
import contextlib
import faulthandler
import fcntl
import locale
import os
import signal
import threading
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, Final

from pymonik.executor.handlers import Handlers
from pymonik.executor.interpreter import Interpreter
from pymonik.executor.standard_streams import StandardStreams, files_of
from pymonik.executor.usage import Limits
from pymonik.executor.variables import Variables

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_ALL: Final = locale.LC_ALL
_TIMERS: Final = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)


class Surroundings:
    """What an executor had around it before its first call.

    Args:
        own_fds: Descriptors of the executor; the first is the socket that it answers on.
        has_own_folder: Whether nobody else uses its current folder: then it is emptied.
    """

    def __init__(self, own_fds: Sequence[int], *, has_own_folder: bool = False) -> None:
        self.streams = StandardStreams()
        self._socket_file = files_of(own_fds[:1])
        # Without the copies that `StandardStreams` has: should a call close one of those, putting
        # back a stream with it fails, and that retires the executor as well.
        self._own_fds = tuple(own_fds)
        self._flags = self._flags_now()
        self._many_files = os.sysconf("SC_OPEN_MAX") // 2  # of the soft limit
        self._folder = os.getcwd()  # noqa: PTH109 - compared as text
        self._has_own_folder = has_own_folder
        self._variables = Variables()
        # There is no way to read the mask without setting it; the next line sets it back.
        self._mask = os.umask(0o077)
        os.umask(self._mask)
        self.handlers = Handlers()
        self._limits = Limits()  # hides a module, so before those are noted
        self._interpreter = Interpreter()
        self._locale = locale.setlocale(_ALL)
        self._places = [get() for get in _GETS]

    @property
    def can_answer(self) -> bool:
        """Whether the socket of the executor is still what it was."""
        try:
            return files_of(self._own_fds[:1]) == self._socket_file
        except OSError:
            return False

    def put_back_little(self, *, are_there: bool) -> None:
        """After an item that took no time: the folder, variables, and standard streams.

        C code changes the folder too, so that nothing short of asking the kernel tells: 0.5 µs.

        Args:
            are_there: What `StandardStreams.flush` has said.
        """
        if not are_there:
            self.streams.put_back()
        try:
            if os.getcwd() != self._folder:  # noqa: PTH109
                self._put_back_folder()
        except OSError:  # it was removed
            self._put_back_folder()
        self._variables.put_back_copy()

    def put_back(self) -> str:
        """After a task: put all back but timers; why that cannot be done, or nothing."""
        try:
            return self._put_back_all()
        except (OSError, ValueError, RuntimeError) as error:
            return f"{type(error).__name__}: {error}"

    def _put_back_all(self) -> str:
        # First, since putting things back with descriptors that stand for something else may do
        # harm.
        if problem := self._changed_for_good():
            return problem
        self.put_back_little(are_there=self.streams.and_files_are_there)
        if self._has_own_folder:
            self._empty_folder()
        self._variables.put_back_those_of_c()
        self.handlers.put_back()
        self._limits.put_back()
        self._interpreter.put_back()
        os.umask(self._mask)
        if _locale.setlocale(_ALL) != self._locale:
            locale.setlocale(_ALL, self._locale)
        return self._short_of_files()

    def _short_of_files(self) -> str:
        """Calls that leave files open would have a later one find none to open.

        The kernel gives the lowest number that is free, so the next number tells in 1 µs.
        """
        spare = os.dup(self._own_fds[0])
        os.close(spare)
        return "" if spare < self._many_files else "its calls have left too many files open"

    def _flags_now(self) -> list[int]:
        return list(map(fcntl.fcntl, self._own_fds, repeat(fcntl.F_GETFL)))

    def _changed_for_good(self) -> str:
        try:
            is_same = self._flags_now() == self._flags
        except OSError:
            is_same = False
        if not is_same:
            return "descriptors of the executor were closed or replaced"
        if [get() for get in _GETS] == self._places:
            return ""
        for (what, get), before in zip(_PLACES, self._places, strict=True):
            if get() != before:
                return f"{what} of the process was changed"
        return ""

    def put_back_timers(self) -> None:
        """Stop timers that the call has started."""
        for timer in _TIMERS:
            if signal.getitimer(timer) != (0.0, 0.0):
                signal.setitimer(timer, 0.0)
        # Its timer is a thread of C, which `setitimer` does not know: with `exit=True` it would end
        # the next call.
        faulthandler.cancel_dump_traceback_later()
        if not faulthandler.is_enabled():
            self.streams.show_crashes()
        if threading.active_count() > 1:
            for thread in threading.enumerate():
                if isinstance(thread, threading.Timer):
                    thread.cancel()

    def _put_back_folder(self) -> None:
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


def _root() -> tuple[int, ...]:
    return os.stat("/")[1:3]  # noqa: PTH116 - see `files_of`


def _places() -> list[tuple[str, Callable[[], object]]]:
    """What a process may change of itself, and often not back."""
    places: list[tuple[str, Callable[[], object]]] = [
        # macOS does not tell the saved id.
        ("the user", getattr(os, "getresuid", os.geteuid)),
        ("the group", getattr(os, "getresgid", os.getegid)),
        ("the set of groups", os.getgroups),
        ("the priority", partial(os.getpriority, os.PRIO_PROCESS, 0)),
        ("the root folder", _root),
    ]
    if hasattr(os, "sched_getaffinity"):
        places.append(("the set of processors", partial(os.sched_getaffinity, 0)))
    if hasattr(os, "sched_getscheduler"):
        places.append(("the scheduling", partial(os.sched_getscheduler, 0)))
    return places


_PLACES: Final = _places()
_GETS: Final = [get for _, get in _PLACES]
