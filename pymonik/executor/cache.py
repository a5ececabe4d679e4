"""Functions that an executor has loaded, by the id of their content."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Protocol

from pymonik.code import packed_function
from pymonik.tasks.decorator import task

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymonik.wire.containers import Buffer

# Bytes of the containers of all functions that are kept. Loaded objects cannot be measured; they
# take several times as much.
_MOST_BYTES = 16 * 1024 * 1024


class Runnable(Protocol):
    """What an uploaded function is, once loaded: a `pymonik.tasks.task.Task`, or `identity`."""

    func: Callable[..., object]
    name: str
    require_context: bool
    retry_on: tuple[type[BaseException], ...]
    collects: bool
    setup: Callable[[], object] | None
    retry_backoff_s: float
    outputs: tuple[str, ...]
    has_folder: bool
    concurrency: int

    def adopt(self, content_id: str) -> None:
        """Learn its own content id: submitted again, it need not be pickled again."""


class BuiltInFunction:
    """What stands for a function where none was uploaded: the worker itself knows what to do."""

    require_context = collects = has_folder = False
    setup: Callable[[], object] | None = None
    retry_backoff_s = 0.0
    concurrency = 1
    retry_on: tuple[type[BaseException], ...] = ()
    outputs: tuple[str, ...] = ()

    def __init__(self, name: str) -> None:
        self.name = name
        self.func: Callable[..., object] = self._refuse

    def _refuse(self, *_: object) -> object:
        raise TypeError(f"{self.name} is no function")

    def adopt(self, content_id: str) -> None:
        """Nothing to do: a built-in function is known by its name."""


class FunctionCache:
    """Keeps the functions used last, up to a number of bytes."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._functions: OrderedDict[str, packed_function.LoadedFunction] = OrderedDict()

    def get(self, content_id: str, container: Callable[[], Buffer]) -> Runnable:
        """The function, ready to be called; ``container`` gives its bytes if it is not known."""
        loaded = self._functions.get(content_id)
        if loaded is None:
            loaded = self._load(content_id, container())
        else:
            # A function of another program may have run since: names of `__main__` are set again.
            loaded.put_in_place()
            self._functions.move_to_end(content_id)
        function: Runnable = loaded.function
        return function

    def _load(self, content_id: str, container: Buffer) -> packed_function.LoadedFunction:
        loaded = packed_function.LoadedFunction(container)
        if not hasattr(loaded.function, "adopt"):  # given to `rerun` as it is
            loaded.function = task(loaded.function)
        loaded.function.adopt(content_id)
        self._functions[content_id] = loaded
        self._bytes += loaded.nbytes
        # The function that was just loaded stays even if it is larger than the bound: it is about
        # to run.
        while self._bytes > self._most_bytes and len(self._functions) > 1:
            _, oldest = self._functions.popitem(last=False)
            self._bytes -= oldest.nbytes
        return loaded
