"""Finds what in a value cannot be pickled, for the error message.

The value is somebody else's and may be anything: a ``__repr__`` or a ``__dict__`` that raises, a
proxy that has every attribute. So only built-in kinds are walked through, attributes are read past
the object's own hooks, and no error in here hides the one that is being explained.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

_MAX_DEPTH = 8  # parts of parts that the path names
_MAX_CHILDREN = 200  # of one object: a long list of good values is not searched for ever
# Names of classes whose objects belong to one process; by name, so that none of them is imported.
_OF_A_PROCESS = frozenset({
    "lock", "RLock", "_RLock", "Condition", "Event", "Semaphore", "Thread", "Popen", "socket",
    "SSLSocket", "SSLContext", "Connection", "Cursor", "BufferedReader", "BufferedWriter",
    "FileIO", "Engine", "Session",
})  # fmt: skip
_MAX_KEY = 60  # characters of a key in a path


def find_culprit(
    value: object, label: str, is_good: Callable[[object], bool]
) -> tuple[str, object]:
    """The path to the deepest part of ``value`` that is not good, and that part.

    The path reads like Python: ``args[1]['conn'].socket``.
    """
    for _ in range(_MAX_DEPTH):
        if _is_ours(value):
            break
        bad = _first_bad(value, is_good)
        if bad is None:
            break
        step = "" if bad[0] == ".__wrapped__" else bad[0]  # of a task: its user wrote a function
        label, value = label + step, bad[1]
    return label, value


def _is_ours(value: object) -> bool:
    """Whether a client or a cluster was reached: what lies in it means nothing to its user."""
    return str(type(value).__module__).startswith("pymonik.") and not callable(value)


def hint_for(culprit: object) -> str:
    """What to do about a value that cannot travel; ``""`` for no idea."""
    if isinstance(culprit, types.GeneratorType):
        return "; pass a list: list(...)"
    if type(culprit).__name__ in _OF_A_PROCESS:
        return "; make it where the task runs, or once for each executor: @task(setup=...)"
    return ""


def _first_bad(value: object, is_good: Callable[[object], bool]) -> tuple[str, object] | None:
    try:
        for path, child in islice(_children(value), _MAX_CHILDREN):
            if not is_good(child):
                return path, child
    except Exception:  # noqa: BLE001 - a mapping, or a set, of the user's that raises
        return None
    return None


def _children(value: object) -> Iterator[tuple[str, object]]:
    kind = type(value)
    if issubclass(kind, Mapping):
        items: Any = value
        yield from ((f"[{_key(key)}]", child) for key, child in list(items.items()))
    elif issubclass(kind, list | tuple):
        parts: Any = value
        yield from ((f"[{i}]", child) for i, child in enumerate(parts))
    elif issubclass(kind, set | frozenset):
        members: Any = value
        yield from ((f"{{{_key(child)}}}", child) for child in members)
    elif not issubclass(kind, type):
        yield from _attributes(value)
        if isinstance(value, types.FunctionType):
            yield from from_around(value)


def _key(key: object) -> str:
    try:
        text = repr(key)
    except Exception:  # noqa: BLE001 - also of a number with too many digits
        return f"<{type(key).__name__}>"
    return text if len(text) <= _MAX_KEY else f"{text[:_MAX_KEY]}..."


def _attributes(value: object) -> Iterator[tuple[str, object]]:
    try:
        attributes = object.__getattribute__(value, "__dict__")
    except Exception:  # noqa: BLE001 - there is none, or it is a property that raises
        return
    if isinstance(attributes, dict):
        yield from ((f".{name}", child) for name, child in list(attributes.items()))


def from_around(function: types.FunctionType) -> Iterator[tuple[str, object]]:
    """What a function takes from around it: free variables, then the globals that it names."""
    code = function.__code__
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield f" (variable {name!r})", cell.cell_contents
        except ValueError:  # noqa: PERF203 - an empty cell: the variable has no value yet
            continue
    known = function.__globals__
    yield from ((f" (global {name!r})", known[name]) for name in code.co_names if name in known)
