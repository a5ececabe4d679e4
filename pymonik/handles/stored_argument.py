"""`StoredArgument`: an argument that was stored once for many calls, unasked."""

from __future__ import annotations

from typing import Any, ClassVar

from pymonik.handles.result_handle import ResultHandle


class StoredArgument(ResultHandle[Any]):
    """A stored argument that its calls keep: the program gave a value and holds no handle of it.

    So what the calls were called with can be told, and they can be run again. Handles that a
    program has given are not kept: a chain of calls would keep all values on its way.
    """

    __slots__ = ()
    is_kept_by_calls: ClassVar[bool] = True
