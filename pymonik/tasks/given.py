"""What `task` and calls are given beside the function and its arguments, checked."""

from __future__ import annotations

import functools
import inspect
import re
import sys
import types
from typing import TYPE_CHECKING, Any, Final, cast

from pymonik.context.task_context import in_task
from pymonik.errors import ArgumentsError, UsageError
from pymonik.quantities import whole_number
from pymonik.session.protocol import AUTO
from pymonik.wire import names
from pymonik.wire.call import MOST_CALLS

if TYPE_CHECKING:
    from collections.abc import Iterable

TASK_KEYWORDS: Final = (
    "require_context", "function_name", "task_options", "partition", "max_duration", "priority",
    "max_retries", "environment", "label", "setup", "memory", "cache", "retry_on",
    "retry_backoff", "outputs", "concurrency",
)  # fmt: skip
TASK_HINTS: Final = {
    "retries": "did you mean max_retries?",
    "timeout": "did you mean max_duration?",
    "time_limit": "did you mean max_duration?",
    "name": "did you mean function_name?",
    "packages": "write environment={'pip': [...]}",
    "pip": "write environment={'pip': [...]}",
    "memory_limit": "did you mean memory?",
}

# What others call the methods of a task, and ours.
METHOD_HINTS: Final = {
    "map": "map_invoke(items)",
    "starmap": "map_invoke(items), where each item is a tuple",
    "submit": "invoke(...)",
    "delay": "invoke(...)",
    "remote": "invoke(...)",
    "apply_async": "invoke(...)",
    "run": "invoke(...)",
    "get": "invoke(...).get()",
    "result": "invoke(...).result()",
}

NOT_GIVEN: Any = object()
_FILE: Final = r"\bFile\b"  # compiled when a function first says what it returns


def args_list(name: str, kwargs: dict[str, object]) -> Iterable[object]:
    """The items of `Task.map_invoke` under the name that PymoniK 0.2 had for them."""
    items: Any = kwargs.pop("args_list", NOT_GIVEN)
    if items is NOT_GIVEN:
        raise ArgumentsError(f"{name}.map_invoke() takes an iterable of arguments")
    return cast("Iterable[object]", items)


def chunk_size_of(given: object) -> int:
    """How many calls are to share a task; `AUTO` leaves that to the session."""
    if isinstance(given, str) and given == "auto":
        return AUTO
    try:
        return min(whole_number("chunk_size", given, 1, sys.maxsize), MOST_CALLS)
    except UsageError:
        text = f"chunk_size must be a positive whole number or 'auto', not {given!r}"
        raise UsageError(text) from None


def checked_max_queued(given: object) -> int | None:
    """How many calls of a map may be under way; ``None`` without a limit, as always in a task."""
    most = None if given is None else whole_number("max_queued", given, 1, sys.maxsize)
    return None if in_task() else most


def name_of(function: Any) -> str:
    """The name of a function, or of what a callable is."""
    while isinstance(function, functools.partial):
        function = function.func
    return str(getattr(function, "__name__", None) or type(function).__name__)


def checked_setup(given: object) -> object:
    """A function for ``setup=``, or ``None``; raises `UsageError` for anything else."""
    if given is not None and not callable(given):
        kind = type(given).__name__
        raise UsageError(f"setup= takes a function without arguments, not a {kind}")
    return given


def gives_files(function: Any) -> bool:
    """Whether a function says that it returns a `File`, alone or in a container."""
    annotation = getattr(function, "__annotations__", {}).get("return")
    return annotation is not None and re.search(_FILE, str(annotation)) is not None


def output_names(outputs: str | Iterable[str]) -> tuple[str, ...]:
    """Names and patterns of outputs, which stay in the folder of a call.

    Raises:
        UsageError: One of them leads out of it.
    """
    given: tuple[Any, ...] = (outputs,) if isinstance(outputs, str) else tuple(outputs)
    return tuple(
        names.checked(name.rstrip("/") if isinstance(name, str) else name) for name in given
    )


def checked_concurrency(given: object, function: Any, outputs: tuple[str, ...]) -> int:
    """How many calls of ``function`` may run at the same time in one executor."""
    most = whole_number("concurrency", given, 1, MOST_CALLS)
    if most == 1:
        return 1
    function = inspect.unwrap(function)
    is_sync = isinstance(function, types.FunctionType) and not (
        inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
    )
    if is_sync:
        raise UsageError(
            f"concurrency= is for async functions, which wait together; {name_of(function)} is "
            "none: calls of it run at the same time in several workers"
        )
    if outputs:
        raise UsageError(
            "concurrency= and outputs= do not go together: calls that run in one process have one "
            "current folder; return File(path) for what a call makes"
        )
    return most


def checked_exceptions(
    retry_on: type[BaseException] | Iterable[type[BaseException]],
) -> tuple[type[BaseException], ...]:
    """The classes of ``retry_on=``; raises `UsageError` for what is none."""
    kinds = (retry_on,) if isinstance(retry_on, type) else tuple(retry_on)
    kind: Any
    for kind in kinds:
        if not isinstance(kind, type) or not issubclass(kind, BaseException):
            raise UsageError(f"retry_on takes classes of exceptions, not {kind!r}")
    return kinds
