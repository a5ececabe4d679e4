"""Tasks that are methods: taken from an object, they have it as their first argument."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pymonik.tasks.arguments import RESERVED
from pymonik.tasks.keywords import with_prefix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pymonik.handles.multi_result_handle import MultiResultHandle
    from pymonik.handles.result_handle import ResultHandle
    from pymonik.tasks.task import Task

R = TypeVar("R")


class BoundTask(Generic[R]):
    """A task taken from an object: the object is the first argument, by value."""

    def __init__(self, task: Task[..., R], instance: object) -> None:
        self._task = task
        self._instance = instance

    def __call__(self, /, *args: object, **kwargs: object) -> R:
        """Run the method here."""
        return self._task(self._instance, *args, **kwargs)

    def invoke(self, /, *args: object, **kwargs: Any) -> ResultHandle[R]:
        """Run the method as a task; see `Task.invoke`."""
        return self._task.invoke(self._instance, *args, **kwargs)

    def map_invoke(self, /, iterable: Iterable[object], **kwargs: Any) -> MultiResultHandle[R]:
        """Run the method once for each item; see `Task.map_invoke`."""
        from pymonik.tasks.mapping import bound_items  # executors map rarely

        method = self._task._parameters.without_first()
        reserved = {name: kwargs.pop(name) for name in RESERVED & kwargs.keys()}
        with_prefix(kwargs, method)
        options = {name: kwargs.pop(name) for name in list(kwargs) if name.startswith("pmk_")}
        bound = bound_items(iterable, self._instance, method, kwargs)
        return self._task.map_invoke(bound, **reserved, **options)

    def __repr__(self) -> str:
        return f"<BoundTask {self._task.name}>"


class ContextSecond:
    """A method that wants ``(self, context, ...)``; tasks are given the context first."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        functools.update_wrapper(self, function)
        del self.__wrapped__  # type: ignore[attr-defined]

    def __call__(
        self, context: object, instance: object, /, *args: object, **kwargs: object
    ) -> Any:
        """Call the method with its object first."""
        return self.function(instance, context, *args, **kwargs)

    @property
    def __signature__(self) -> inspect.Signature:
        signature = inspect.signature(self.function)
        instance, context, *rest = signature.parameters.values()
        first = [p.replace(kind=inspect.Parameter.POSITIONAL_ONLY) for p in (context, instance)]
        return signature.replace(parameters=[*first, *rest])
