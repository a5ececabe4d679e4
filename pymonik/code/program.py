"""What of the program goes with calls, beside their function and arguments: files and settings."""

from __future__ import annotations

import sys
import time
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pymonik.code.bundle import Bundler
from pymonik.code.settings import Settings, baselines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymonik.code.bundle import Bundle
    from pymonik.code.codec import Packed
    from pymonik.code.packed_function import PackedFunction


@dataclass(frozen=True, slots=True)
class Code:
    """The program as calls need it that are submitted now.

    Attributes:
        bundle: Its files; ``None`` where the calls need none.
        settings: Variables that it has set in its modules, pickled; empty where there are none.
    """

    bundle: Bundle | None = None
    settings: bytes = b""


NO_CODE: Final = Code()
_FEW: Final = 16  # modules whose variables are all looked at for each call
_SHARE: Final = 40  # looking at those of more takes at most one part in so many of the time


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
        self._last = NO_CODE
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
        settings = self._current_settings(modules)
        if bundle is not self._last.bundle or settings is not self._last.settings:
            self._last = Code(bundle, settings)
        return self._last

    def _current_settings(self, modules: frozenset[str]) -> bytes:
        """Settings in all modules that travel.

        Of many modules, those are looked at for each call which the script has at hand or calls
        refer to; the others as often as a fortieth of the time allows.
        """
        known = self._bundler.closure.sources
        if len(known) <= _FEW:
            return self._settings.current(list(known))
        start = time.monotonic()
        if start < self._next_full_look:
            return self._settings.current(modules.union(_at_hand()).intersection(known))
        found = self._settings.current(list(known))
        end = time.monotonic()
        self._next_full_look = end + _SHARE * (end - start)
        return found


def _at_hand() -> list[str]:
    """Modules that are names of the script."""
    names = vars(sys.modules["__main__"])
    return [one.__name__ for one in list(names.values()) if type(one) is types.ModuleType]
