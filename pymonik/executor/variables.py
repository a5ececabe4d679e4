"""The environment variables of an executor, which are put back after a call has changed them.

Python has a copy of them, `os.environ`, and writes each change of the copy to those of C, which
child processes and libraries in C see. `os.putenv` and `setenv` of C change these only.
"""

from __future__ import annotations

import ctypes
import os
import time

_POINTER = ctypes.sizeof(ctypes.c_void_p)


class Variables:
    """The variables of this process as they are now."""

    def __init__(self) -> None:
        self._environ = os.environ
        self._all = dict(os.environb)
        # The dict below `os.environ`.
        self._data = _Watched(os.environ._data)  # type: ignore[attr-defined]
        os.environ._data = os.environb._data = self._data  # type: ignore[attr-defined]
        self._of_c = _environ_of_c()
        self._note()

    def _note(self) -> None:
        """Keep the pointers of C: each change of a variable changes one of them, or the array."""
        self._array = None if self._of_c is None else self._of_c.value
        size = 0 if self._of_c is None else len(_listed(self._of_c.value)) + 1
        # With the null pointer at the end, so that a variable added behind it shows.
        self._nbytes = size * _POINTER
        self._pointers = self._now()

    def _now(self) -> bytes:
        # The array that was counted has as many places, whatever was taken out of it since.
        return ctypes.string_at(self._array, self._nbytes) if self._array else b""

    def put_back_copy(self) -> None:
        """Put back those that were changed by `os.environ`."""
        if os.environ is not self._environ:
            os.environ = self._environ  # noqa: B003 - a call has put another in its place
        if self._data.is_changed:
            self._put_back()

    def put_back_those_of_c(self) -> None:
        """Put back those that were changed in another way."""
        if self._of_c is not None and (
            self._of_c.value != self._array or self._now() != self._pointers
        ):
            self._put_back()

    def _put_back(self) -> None:
        """Set both kinds anew where either differs."""
        found = _listed(None if self._of_c is None else self._of_c.value)
        for name in {*self._data, *found} - self._all.keys():
            self._data.pop(name, None)
            os.unsetenv(name)
        for name, value in self._all.items():
            if self._data.get(name) != value or found.get(name) != value:
                os.environb[name] = value
        # C reads TZ once, when it first needs the time zone; it must be told to read it again.
        if found.get(b"TZ") != self._all.get(b"TZ"):
            time.tzset()
        self._data.is_changed = False
        self._note()


class _Watched(dict[bytes, bytes]):
    """What `os.environ` keeps: it remembers that a variable was set or deleted.

    To compare all variables with those of before would take longer the more there are, and it is
    done after each call of a chunk. `os.environ` changes what it keeps in these two ways only.
    """

    is_changed = False

    def __setitem__(self, name: bytes, value: bytes) -> None:
        self.is_changed = True
        super().__setitem__(name, value)

    def __delitem__(self, name: bytes) -> None:
        self.is_changed = True
        super().__delitem__(name)


def _environ_of_c() -> ctypes.c_void_p | None:
    """Where C has the address of its variables; ``None`` on systems that hide it."""
    try:
        return ctypes.c_void_p.in_dll(ctypes.CDLL(None), "environ")
    except ValueError:
        return None


def _listed(array: int | None) -> dict[bytes, bytes]:
    """The variables of C; none if there is no array."""
    found: dict[bytes, bytes] = {}
    if array:
        place = ctypes.cast(array, ctypes.POINTER(ctypes.c_char_p))
        index = 0
        while (entry := place[index]) is not None:
            name, _, value = entry.partition(b"=")
            # Of a name that stands twice, `getenv` finds the first.
            found.setdefault(name, value)
            index += 1
    return found
