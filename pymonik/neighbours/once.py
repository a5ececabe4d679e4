"""What runs once in each executor process: the initializer of an `Executor`."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

R = TypeVar("R")

# By key of the `Executor`: `None`, or the error of its initializer, which is not tried again.
_outcomes: dict[str, BaseException | None] = {}
_lock = threading.RLock()  # an executor process may run several calls at a time


class InitializerError(Exception):
    """The initializer failed in an executor process, so no call can run there."""


def initialised(
    key: str,
    initializer: Callable[..., object],
    initargs: tuple[Any, ...],
    function: Callable[..., R],
    /,
    *args: Any,
    **kwargs: Any,
) -> R:
    """Call ``function``, after ``initializer(*initargs)`` if this process has not called it."""
    with _lock:
        if key not in _outcomes:
            _outcomes[key] = _outcome(initializer, initargs)
        failed = _outcomes[key]
    if failed is not None:
        raise InitializerError(f"{type(failed).__name__}: {failed}") from failed
    return function(*args, **kwargs)


def _outcome(initializer: Callable[..., object], initargs: tuple[Any, ...]) -> BaseException | None:
    try:
        initializer(*initargs)
    except BaseException as error:  # noqa: BLE001 - of the user's; the client raises it
        return error
    return None
