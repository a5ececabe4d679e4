"""What a call gives: coroutines are run to their end, and generators may be collected."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

_LAZY = frozenset({types.CoroutineType, types.GeneratorType, types.AsyncGeneratorType})


def outcome(
    function: Callable[..., Any],
    args: Sequence[object],
    kwargs: Mapping[str, object],
    *,
    collects: bool,
) -> Any:
    """What ``function`` gives; an ``async def`` one is run to its end.

    Args:
        function: Of the user.
        args: By position.
        kwargs: By keyword.
        collects: Whether a generator's value is the list of what it yields.
    """
    __tracebackhide__ = True  # `replay` runs it in the program of the user
    value = function(*args, **kwargs)
    return value if type(value) not in _LAZY else finished(value, collects=collects)


def is_lazy(value: object) -> bool:
    """Whether there is more to do for a value: it is a coroutine, or a generator."""
    return type(value) in _LAZY


def finished(value: Any, *, collects: bool) -> Any:
    """What a coroutine gives at its end, or the list of what a generator yields, if that is meant.

    No loop may run in this thread.
    """
    __tracebackhide__ = True
    if isinstance(value, types.CoroutineType):
        import asyncio  # most executors never need it, and it takes long to import

        return asyncio.run(value)
    if not collects:
        return value
    if isinstance(value, types.GeneratorType):
        return list(value)
    import asyncio

    return asyncio.run(_collected(value))


async def outcome_awaited(
    function: Callable[..., Any],
    args: Sequence[object],
    kwargs: Mapping[str, object],
    *,
    collects: bool,
) -> Any:
    """Like `outcome`, on an event loop that other calls run on too."""
    value = function(*args, **kwargs)
    if isinstance(value, types.CoroutineType):
        return await value
    if collects and isinstance(value, types.AsyncGeneratorType):
        return await _collected(value)
    return list(value) if collects and isinstance(value, types.GeneratorType) else value


async def _collected(generator: AsyncGenerator[Any, None]) -> list[Any]:
    return [value async for value in generator]
