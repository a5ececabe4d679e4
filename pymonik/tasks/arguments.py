"""What can be passed to a function, and what an item of `map_invoke` passes to it."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pymonik.errors import ArgumentsError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

_Kind = inspect._ParameterKind
_BY_POSITION = (_Kind.POSITIONAL_ONLY, _Kind.POSITIONAL_OR_KEYWORD)
_CONTEXT_NAMES: Final = ("ctx", "context")
# Keywords of `invoke` and `map_invoke` that a function cannot have as keywords of its own.
RESERVED: Final = frozenset({"pymonik", "delegate", "task_options", "chunk_size"})


# Passes nothing, where PymoniK 0.2 wanted an argument of functions that have no parameter.
NO_INPUT: Final = object()


class Arguments(NamedTuple):
    """The arguments of one call; as an item of `map_invoke` it is not taken apart any more."""

    args: tuple[object, ...]
    kwargs: dict[str, object]


class Parameters:
    """What can be passed to a function, as far as it says so."""

    def __init__(self, function: Callable[..., object], *, skip_first: bool = False) -> None:
        try:
            signature: inspect.Signature | None = inspect.signature(function)
        except (ValueError, TypeError):  # some built-in functions have none
            signature = None
        self._set(signature)
        if skip_first:
            self._set(self._without_first())

    def _set(self, signature: inspect.Signature | None) -> None:
        self.signature = signature
        self.all = [] if signature is None else list(signature.parameters.values())
        self.reserved = RESERVED & {p.name for p in self.all if p.kind is not _Kind.VAR_KEYWORD}
        self._least, self._most = self._counts()

    def _counts(self) -> tuple[int, int]:
        """How many positional arguments alone surely fit; none do if the least is the greater."""
        if self.signature is None:
            return 0, 1 << 30
        needed = [p for p in self.all if p.default is p.empty]
        if any(p.kind is _Kind.KEYWORD_ONLY for p in needed):
            return 1, 0  # no number is between the two, so `check` binds the arguments
        most = sum(p.kind in _BY_POSITION for p in self.all)
        if any(p.kind is _Kind.VAR_POSITIONAL for p in self.all):
            most = 1 << 30
        return sum(p.kind in _BY_POSITION for p in needed), most

    def _without_first(self) -> inspect.Signature | None:
        if not self.all or self.all[0].kind not in _BY_POSITION or self.signature is None:
            return self.signature
        return self.signature.replace(parameters=self.all[1:])

    @property
    def names(self) -> tuple[str, ...]:
        """The names of parameters that can be given by position, in order."""
        return tuple(parameter.name for parameter in self.all if parameter.kind in _BY_POSITION)

    def without_first(self) -> Parameters:
        """The parameters that are left once the first is given."""
        rest = object.__new__(Parameters)
        rest._set(self._without_first())
        return rest

    def takes(self, name: str) -> bool:
        """Whether the function may take a keyword argument of this name."""
        if self.signature is None:
            return True
        by_name = (_Kind.KEYWORD_ONLY, _Kind.POSITIONAL_OR_KEYWORD)
        return any(
            p.kind is _Kind.VAR_KEYWORD or (p.name == name and p.kind in by_name) for p in self.all
        )

    def check(self, name: str, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        """Raise `ArgumentsError` where Python would raise a TypeError."""
        __tracebackhide__ = True
        if not kwargs and self._least <= len(args) <= self._most:
            return
        if self.signature is None:
            return
        try:
            self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise ArgumentsError(f"{name}(): {error}{self._context_hint(args)}") from None

    def _context_hint(self, args: tuple[object, ...]) -> str:
        """For a function that has a parameter for its context and does not say so."""
        named = bool(self.all) and self.all[0].name in _CONTEXT_NAMES
        if not named or len(args) >= self._least:
            return ""
        return "; @task(require_context=True) passes the context as the first argument"

    def hint(self, item: object) -> str:
        """What an item that does not fit was perhaps meant to be; ``""`` for no idea."""
        if type(item) is list and self._least <= len(item) <= self._most and len(item) > 1:
            return f"; a list is one argument, a tuple holds the {len(item)} arguments: tuple(item)"
        if type(item) not in (tuple, dict, list) and 1 < self._least <= self._most:
            return "; an item is one argument unless it is a tuple: zip(xs, ys) gives tuples"
        return ""

    def of_item(
        self, item: object, common: dict[str, object]
    ) -> tuple[tuple[object, ...], dict[str, object]]:
        """The arguments that an item of `map_invoke` stands for."""
        if type(item) is tuple:
            return (() if item and item[0] is NO_INPUT else item), common
        if type(item) is Arguments:
            return item
        if type(item) is dict and self._is_keywords(item, common):
            if twice := item.keys() & common.keys():
                raise ArgumentsError(f"{sorted(twice)} are given by the item and for all calls")
            return (), {**common, **item}
        return (item,), common

    def _is_keywords(self, item: dict[Any, Any], common: dict[str, object]) -> bool:
        free = [p for p in self.all if p.name not in common]
        # A function with one free parameter takes the dict as its argument, any other as keywords.
        single = len(free) == 1 and free[0].kind is not _Kind.VAR_KEYWORD
        if self.signature is None or (single and item.keys() == {free[0].name}):
            raise UsageError(
                "a dict could be the argument or the keyword arguments; "
                "write ({...},) for the argument, (value,) for the value in it"
            )
        if not single and not all(isinstance(key, str) for key in item):
            raise ArgumentsError("a dict holds keyword arguments; write ({...},) for an argument")
        return not single
