"""A handler run in this process, for a test."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import json
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

from pymonik.content.archives import UnpackedArchives
from pymonik.wire import lambda_events

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymonik.tasks.lambdas import LambdaTask


class HandlerHere:
    """Runs a handler in this process, for a test: its modules stand for those of the program."""

    _lock = threading.RLock()
    _archives = UnpackedArchives()

    def __init__(self, task: LambdaTask) -> None:
        self._task = task
        self._modules: dict[str, Any] = {}
        self._digest = ""
        self.__name__ = task.definition.name
        self.__signature__ = inspect.signature(lambda event, context=None: None)  # noqa: ARG005

    def __call__(self, event: Any, context: Any = None) -> Any:
        """The answer of the handler, both as JSON has them."""
        given = json.loads(lambda_events.encoded(event, "the event"))
        archive = self._task.archive
        with self._lock, self._in_place(archive.digest, os.fspath(archive)):
            module, _, function = self._task.definition.handler.rpartition(".")
            handler = getattr(importlib.import_module(module), function)
            answer = handler(given, context)
        return json.loads(lambda_events.encoded(answer, "the answer of the handler"))

    @contextlib.contextmanager
    def _in_place(self, digest: str, path: str) -> Iterator[None]:
        """Have the modules of the zip be found, and those of the program again afterwards."""
        folder = self._archives.get(digest, path)
        if digest != self._digest:
            self._digest, self._modules = digest, {}
        tops = {name.partition(".")[0] for name in os.listdir(folder)}  # noqa: PTH208
        hidden = {n: m for n, m in sys.modules.items() if n.partition(".")[0] in tops}
        for name in hidden:
            del sys.modules[name]
        sys.modules.update(self._modules)
        sys.path.insert(0, folder)
        try:
            yield
        finally:
            sys.path.remove(folder)
            own = {n: m for n, m in sys.modules.items() if n.partition(".")[0] in tops}
            self._modules = own
            for name in own:
                del sys.modules[name]
            sys.modules.update(hidden)
