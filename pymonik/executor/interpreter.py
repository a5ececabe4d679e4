"""Settings of the interpreter: those that a call has changed are put back after it.

What a module sets when it is imported stays, as far as it harms nobody: filters that ignore a
certain warning, folders added to `sys.path`, finders added to `sys.meta_path`. It is imported once,
so that would not come back.
"""

from __future__ import annotations

import _thread
import _tracemalloc  # built in, unlike the module around it
import builtins
import gc
import logging
import operator
import socket
import sys
import threading
import types
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_HOOKS: Final = (  # owners, and the names that they have
    (sys, sys, sys, sys, threading, warnings, warnings, socket),
    (
        "excepthook",
        "unraisablehook",
        "displayhook",
        "breakpointhook",
        "excepthook",
        "showwarning",
        "formatwarning",
        "socket",  # libraries such as PySocks replace it to send all traffic through a proxy
    ),
)
_ALL_MISSING: Final = (None,) * len(_HOOKS[0])
_FINDERS: Final = ("meta_path", "path_hooks")  # of `sys`


class Interpreter:
    """The settings of this interpreter as they are now."""

    def __init__(self) -> None:
        settings = _settings()
        self._gets = [get for get, _ in settings]
        self._puts = [put for _, put in settings]
        self._settings = [get() for get in self._gets]
        self._hooks = list(map(getattr, *_HOOKS))
        self._builtins = _Names(vars(builtins))
        self._modules = _Modules(sys.modules)
        # The list object itself is kept too: a call may bind `sys.path` to another list, while the
        # import system and libraries hold the first.
        self._path = sys.path, list(sys.path)
        self._finders = {name: list(getattr(sys, name)) for name in _FINDERS}
        self._finders_last = list(self._finders.values())
        self._arguments = list(sys.argv)
        self._filters = list(warnings.filters)
        self._temporary: str | None = None  # as found before any call has asked for it

    def put_back(self) -> None:
        """Have all of them as they were."""
        self._builtins.put_back(vars(builtins))
        self._modules.put_back(sys.modules)
        if sys.path is not self._path[0] or sys.path != self._path[1]:
            self._put_back_path()
        if list(map(getattr, (sys, sys), _FINDERS, (None, None))) != self._finders_last:
            self._put_back_finders()
        if sys.argv != self._arguments:
            sys.argv = list(self._arguments)
        if warnings.filters != self._filters:
            self._put_back_filters()
        if [get() for get in self._gets] != self._settings:
            self._put_back_settings()
        # By identity: what a call has put in place may say that it equals anything.
        if not all(map(operator.is_, map(getattr, *_HOOKS, _ALL_MISSING), self._hooks)):
            self._put_back_hooks()
        # Threads of the next call get stacks of the usual size. There is no way to ask for the
        # size that does not set it.
        _thread.stack_size(0)
        self._put_back_temporary()
        _forget_event_loop()

    def _put_back_settings(self) -> None:
        for get, put, before in zip(self._gets, self._puts, self._settings, strict=True):
            if get() != before:
                put(before)

    def _put_back_hooks(self) -> None:
        for owner, name, before in zip(*_HOOKS, self._hooks, strict=True):
            if getattr(owner, name, None) is not before:
                setattr(owner, name, before)

    def _put_back_path(self) -> None:
        """Folders that came later stay, behind those that were there."""
        path, before = self._path
        added = [entry for entry in sys.path or () if entry not in before]
        # In place, since finders and libraries may hold the list.
        path[:] = [*before, *added]
        sys.path = path
        self._path = path, list(path)

    def _put_back_finders(self) -> None:
        """Put back finders that are gone; new ones stay in front, where somebody wanted them."""
        for name, before in self._finders.items():
            finders = getattr(sys, name, None) or []
            if finders == before:
                continue
            missing = [one for one in before if one not in finders]
            if missing or None in finders:
                setattr(sys, name, [*filter(None, finders), *missing])
            self._finders[name] = list(getattr(sys, name))
        self._finders_last = list(self._finders.values())

    def _put_back_filters(self) -> None:
        kept = [one for one in warnings.filters if one not in self._filters and _is_harmless(one)]
        self._filters = [*kept, *self._filters]
        warnings.filters[:] = self._filters  # type: ignore[index]
        # Python caches which warnings were shown; without this call the cache is not thrown away.
        warnings._filters_mutated()  # type: ignore[attr-defined]

    def _put_back_temporary(self) -> None:
        """`tempfile` finds its folder once: that of one call may be gone in the next."""
        tempfile: Any = sys.modules.get("tempfile")
        if tempfile is None or tempfile.tempdir == self._temporary:
            return
        tempfile.tempdir = self._temporary
        if self._temporary is None:  # the variables that it looks at are put back by now
            try:
                self._temporary = tempfile.gettempdir()
            except OSError:  # there is none that can be written to
                tempfile.tempdir = None


class _Names:
    """What names stood for; those that came later may stay."""

    def __init__(self, there: dict[str, Any]) -> None:
        self._before = dict(there)
        # When it was looked at last: a list is compared in a fourth of the time of a dict.
        self._last = list(there.values())

    def put_back(self, there: dict[str, Any]) -> None:
        """Put back those that stand for something else now."""
        # Values are compared by identity first, so unchanged modules cost one pointer each.
        if list(there.values()) == self._last:
            return
        self._put_back_changed(there)
        self._last = list(there.values())

    def _put_back_changed(self, there: dict[str, Any]) -> None:
        for name, before in self._before.items():
            if there.get(name) is not before:
                there[name] = before


class _Modules(_Names):
    """``sys.modules``: what a call has imported stays, what it put in place of a module does not.

    ``__main__`` is another one for each program that the executor serves.
    """

    def __init__(self, there: dict[str, Any]) -> None:
        super().__init__(there)
        self._before.pop("__main__", None)

    def _put_back_changed(self, there: dict[str, Any]) -> None:
        super()._put_back_changed(there)
        for name in list(there.keys() - self._before.keys() - {"__main__"}):
            # `None` forbids an import, a mock stands in for a module: both are meant for one call.
            if isinstance(there[name], types.ModuleType):
                self._before[name] = there[name]
            else:
                del there[name]


def _settings() -> list[tuple[Callable[[], Any], Callable[[Any], object]]]:
    """What gives and sets the settings of the interpreter."""
    loggers = logging.root.manager
    pairs: list[tuple[Callable[[], Any], Callable[[Any], object]]] = [
        (sys.getrecursionlimit, sys.setrecursionlimit),
        (sys.getswitchinterval, sys.setswitchinterval),
        (sys.gettrace, sys.settrace),
        (sys.getprofile, sys.setprofile),
        (lambda: getattr(sys, "tracebacklimit", None), partial(setattr, sys, "tracebacklimit")),
        (threading.gettrace, threading.settrace),
        (threading.getprofile, threading.setprofile),
        (_tracemalloc.is_tracing, lambda on: _tracemalloc.start(1) if on else _tracemalloc.stop()),
        (sys.get_asyncgen_hooks, lambda hooks: sys.set_asyncgen_hooks(*hooks)),
        (sys.get_coroutine_origin_tracking_depth, sys.set_coroutine_origin_tracking_depth),
        (socket.getdefaulttimeout, socket.setdefaulttimeout),
        (gc.isenabled, lambda on: gc.enable() if on else gc.disable()),
        (gc.get_threshold, lambda numbers: gc.set_threshold(*numbers)),
        (gc.get_debug, gc.set_debug),
        (lambda: loggers.disable, logging.disable),
    ]
    if hasattr(sys, "getdlopenflags"):
        pairs.append((sys.getdlopenflags, sys.setdlopenflags))
    if hasattr(sys, "get_int_max_str_digits"):  # from Python 3.10.7 on
        pairs.append((sys.get_int_max_str_digits, sys.set_int_max_str_digits))
    return pairs


def _forget_event_loop() -> None:
    """Have `asyncio.get_event_loop` make a loop, as it does in a new process.

    It does so until a loop was set once, and `asyncio.run` sets one and takes it away: then a call
    that asks for a loop would fail for what another has run. A loop that is open was left on
    purpose, by a module that has its connections there.
    """
    events = sys.modules.get("asyncio.events")
    local: Any = getattr(getattr(events, "_event_loop_policy", None), "_local", None)
    if getattr(local, "_set_called", False) and (local._loop is None or local._loop.is_closed()):
        local._loop, local._set_called = None, False


def _is_harmless(entry: Any) -> bool:
    """Whether a filter ignores a certain warning, as modules do when they are imported."""
    action, message, _, module, _ = entry
    return bool(action == "ignore" and (message is not None or module is not None))
