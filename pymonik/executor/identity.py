"""The built-in function that gives back its argument.

A task that returns handles delegates to it: its argument refers to their results, so that it runs
once they are completed.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from pymonik.code import packed_function

if TYPE_CHECKING:
    from pymonik.code.packed_function import PackedFunction


class Identity:
    """Loaded by executors like a function of the user."""

    name = "identity"
    require_context = False
    collects = False
    setup = None
    retry_backoff_s = 0.0
    has_folder = False
    concurrency = 1
    retry_on: tuple[type[BaseException], ...] = ()
    outputs: tuple[str, ...] = ()

    @staticmethod
    def func(value: object) -> object:
        """Give ``value``."""
        return value

    def adopt(self, content_id: str) -> None:
        """Nothing to learn: `packed_identity` knows it."""


@functools.cache
def packed_identity() -> PackedFunction:
    """The function as it is uploaded."""
    return packed_function.pack_function(Identity(), Identity.name)
