"""Finds what in a value cannot be pickled, for the error message."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

_MAX_DEPTH = 8
_MAX_CHILDREN = 200  # of one object: a long list of good values is not searched for ever


def find_culprit(
    value: object, label: str, is_good: Callable[[object], bool]
) -> tuple[str, object]:
    """The path to the deepest part of ``value`` that is not good, and that part.

    The path reads like Python: ``args[1]['conn'].socket``.
    """
    for _ in range(_MAX_DEPTH):
        for path, child in _children(value):
            if not is_good(child):
                label, value = label + path, child
                break
        else:
            break
    return label, value


def _children(value: object) -> Iterator[tuple[str, object]]:
    for count, child in enumerate(_all_children(value)):
        if count >= _MAX_CHILDREN:
            return
        yield child


def _all_children(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        yield from ((f"[{key!r}]", child) for key, child in list(value.items()))
    elif isinstance(value, list | tuple):
        yield from ((f"[{i}]", child) for i, child in enumerate(value))
    elif isinstance(value, set | frozenset):
        yield from ((f"{{{child!r}}}", child) for child in value)
    elif not isinstance(value, type):
        yield from _attributes(value)
        yield from _closure(value)


def _attributes(value: object) -> Iterator[tuple[str, object]]:
    attributes = getattr(value, "__dict__", None)
    if isinstance(attributes, dict):
        yield from ((f".{name}", child) for name, child in list(attributes.items()))


def _closure(value: object) -> Iterator[tuple[str, object]]:
    """What a function takes from around it: free variables, then the globals that it names."""
    code = getattr(value, "__code__", None)
    if code is None:
        return
    for name, cell in zip(code.co_freevars, getattr(value, "__closure__", None) or (), strict=True):
        try:
            yield f" (variable {name!r})", cell.cell_contents
        except ValueError:  # noqa: PERF203 - an empty cell: the variable has no value yet
            continue
    known = getattr(value, "__globals__", {})
    yield from ((f" (global {name!r})", known[name]) for name in code.co_names if name in known)
