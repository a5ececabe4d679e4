"""`Reduction`: the pickling of one value, as the reducers see it.

A reducer says how one object is pickled, and notes what else the pickle refers to. It knows no more
of `pymonik.code.pickler.Pickler` than stands here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import types
    from collections.abc import Iterable


class Reduction(Protocol):
    """What a reducer asks, and what it notes.

    Attributes:
        by_statement: A class is made by running its statement again.
        is_code: Locks in it are those of code: they are made anew where the code runs.
        compiled: The name of the first code in it that travels by value, ``""`` where none does.
    """

    by_statement: bool
    is_code: bool
    compiled: str

    def is_root(self, obj: object) -> bool:
        """Whether ``obj`` is what is being defined."""

    def reduce_special_class(self, cls: type) -> Any:
        """A class that the interpreter made, such as that of functions."""

    def note_module(self, name: object) -> None:
        """Remember a module, if it travels as a file."""

    def place_in_main(self, obj: Any, names: dict[str, Any]) -> Any:
        """A reference to a name of ``__main__``, if ``obj`` is what stands there."""

    def need_names(
        self,
        names: dict[str, Any],
        wanted: Iterable[str],
        *,
        optional: bool = False,
        any_size: bool = False,
    ) -> None:
        """Note that code refers to names of ``__main__``."""

    def need_class(self, key: str, cls: type) -> None:
        """Note that the pickle refers to a class by value."""

    def has_cell(self, cell: types.CellType) -> bool:
        """Whether the pickle had this variable before; from now on it has."""

    def namespace(self, names: dict[str, Any]) -> Any:
        """What stands for these names in this pickle."""
