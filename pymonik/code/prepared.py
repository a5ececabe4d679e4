"""What ``@task(setup=...)`` made: once in each executor, before the first call that wants it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymonik.code.outcome import outcome

if TYPE_CHECKING:
    from collections.abc import Callable

_held: dict[str, tuple[Callable[[], Any], Any]] = {}  # the set-up and what it returned, by its name


def prepared(setup: Callable[[], Any]) -> Any:
    """What ``setup`` returned in this process; it is called if it was not yet.

    Under one name only the newest is held: an edited set-up replaces what the older one loaded,
    which may be most of the memory. One that raises is called again for the next call.
    """
    name = f"{getattr(setup, '__module__', '')}.{getattr(setup, '__qualname__', id(setup))}"
    held = _held.get(name)
    if held is not None and held[0] is setup:
        return held[1]
    _held.pop(name, None)
    value = outcome(setup, (), {}, collects=False)
    _held[name] = (setup, value)
    return value
