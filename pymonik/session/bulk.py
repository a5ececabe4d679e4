"""Many objects at once, without the garbage collector going over them again and again."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def no_collections() -> Iterator[None]:
    """Put off garbage collection; for code that makes thousands of objects which all stay.

    A full collection costs as much as there are objects, and comes each time a quarter was added:
    half of the time that a large `map_invoke` would take. At the end they are counted among the
    old objects, where the next collection would put them after it went over all of them.
    """
    if not gc.isenabled():  # as the program wants it, or another thread does the same
        yield
        return
    try:
        gc.disable()  # inside: an interrupt after it must not leave it so
        yield
    finally:
        # `freeze` takes all objects out of the generations, and `unfreeze` puts them into the
        # oldest: in two steps of constant time. Objects that the program has frozen itself must
        # stay so.
        if not gc.get_freeze_count():
            gc.freeze()
            gc.unfreeze()
        gc.enable()
