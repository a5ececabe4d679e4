"""Functions that an executor has loaded, by the id of their content."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Protocol

from pymonik.code import codec

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymonik.wire.containers import Buffer

_SIZE = 256


class Runnable(Protocol):
    """What an uploaded function is, once loaded: a `pymonik.task.Task`, or `identity`."""

    func: Callable[..., object]
    name: str
    require_context: bool
    retry_on: tuple[type[BaseException], ...]

    def adopt(self, content_id: str) -> None:
        """Learn its own content id: submitted again, it need not be pickled again."""


class FunctionCache:
    """Keeps the functions used last."""

    def __init__(self, size: int = _SIZE) -> None:
        self._size = size
        self._functions: OrderedDict[str, Runnable] = OrderedDict()

    def get(self, content_id: str, container: Callable[[], Buffer]) -> Runnable:
        """The function; ``container`` gives its bytes when it is not known yet."""
        function = self._functions.get(content_id)
        if function is None:
            function = self._load(content_id, container())
        self._functions.move_to_end(content_id)
        return function

    def _load(self, content_id: str, container: Buffer) -> Runnable:
        function: Runnable = codec.load_function(container)
        function.adopt(content_id)
        self._functions[content_id] = function
        if len(self._functions) > self._size:
            self._functions.popitem(last=False)
        return function
