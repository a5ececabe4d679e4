"""What stands for a result in arguments: the pickler writes a reference in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymonik.session.result import ResultState


class Referable:
    """Base of a handle; two that share a state are the same reference."""

    __slots__ = ()

    _state: ResultState


class ReferableGroup:
    """Base of a sequence of `Referable`; it arrives in the task as a list of their values."""

    __slots__ = ()

    def _members(self) -> Sequence[Referable]:
        raise NotImplementedError


class Named:
    """Base of what a module may have in place of a function: it travels by that name."""

    def wrapped(self) -> object:
        """The function."""
        raise NotImplementedError

    def parts(self) -> tuple[object, ...]:
        """All that its pickle has, the function included."""
        raise NotImplementedError

    def essence(self) -> tuple[object, ...]:
        """What of it decides which value a call gives: neither its name nor its options."""
        raise NotImplementedError
