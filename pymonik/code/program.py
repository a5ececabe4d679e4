"""What of the program goes with calls, beside their function and arguments: files and settings."""

from __future__ import annotations

import sys
import time
import types
from typing import TYPE_CHECKING, Final

from pymonik.code.bundle import Bundler
from pymonik.code.settings import Settings, baselines
from pymonik.code.with_calls import NO_CODE, Code

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pymonik.code.codec import Packed
    from pymonik.code.packed_function import PackedFunction


_SHARE: Final = 80  # looking at all variables takes at most one part in so many of the time


class Program:
    """The running program, as one session sends it. Thread-safe.

    Args:
        include: See `Bundler`, like the two that follow.
        exclude: Patterns of paths that stay here.
        shares_paths: Workers see the folders of this machine.
    """

    def __init__(
        self,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        *,
        shares_paths: bool = False,
    ) -> None:
        self._bundler = Bundler(include, exclude, shares_paths=shares_paths)
        self._settings = Settings()
        self._next_full_look = 0.0
        self._may_change: frozenset[str] = frozenset()
        self._is_interactive = False
        self._known = 0  # how many modules travelled when `_may_change` was found
        self._last = NO_CODE
        # Before the program sets anything: computed variables are compared with this.
        baselines.look()

    def code(self, function: PackedFunction, calls: Sequence[Packed]) -> Code:
        """What these calls need of the program as it is now."""
        modules = function.modules
        for call in calls:
            if call.modules:
                modules |= call.modules
        bundle = self._bundler.bundle(modules)
        if bundle is None:
            return NO_CODE
        settings = self._current_settings()
        if bundle is not self._last.bundle or settings is not self._last.settings:
            self._last = Code(bundle, settings)
        return self._last

    def _current_settings(self) -> bytes:
        """Settings in all modules that travel.

        For each call, those are looked at whose variables code of the program may set; all, as
        often as an eightieth of the time allows: only somebody else's code sets the others, such as
        a debugger.
        """
        start = time.monotonic()
        if start < self._next_full_look:
            return self._settings.current(self._looked_at_each_time())
        known = self._bundler.closure.sources
        if self._known != len(known):
            self._may_change = baselines.that_may_change(known)
            self._is_interactive = _is_interactive()
            self._known = len(known)  # last: an interrupt must not leave the others as they were
        found = self._settings.current(list(known))
        end = time.monotonic()
        self._next_full_look = end + _SHARE * (end - start)
        return found

    def _looked_at_each_time(self) -> Iterable[str]:
        if not self._is_interactive:
            return self._may_change
        known = self._bundler.closure.sources
        return self._may_change.union(_at_hand(known)).intersection(known)


def _is_interactive() -> bool:
    """Whether the program is no file: nobody can read what it is going to assign.

    What comes from a pipe says ``<stdin>``.
    """
    file = getattr(sys.modules["__main__"], "__file__", None)
    return not isinstance(file, str) or file[:1] == "<"


def _at_hand(known: Iterable[str]) -> list[str]:
    """Modules that are names of the program, and those in packages that are."""
    names = list(vars(sys.modules["__main__"]).values())
    direct = [one.__name__ for one in names if type(one) is types.ModuleType]
    packages = tuple([f"{name}." for name in direct])
    return direct + [name for name in known if name.startswith(packages)]
