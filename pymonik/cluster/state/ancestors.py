"""`Ancestors`: the session and the tasks above a task, without a copy for each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    from collections.abc import Iterator


class Ancestors(Sequence[str]):
    """What ArmoniK calls ``parent_task_ids``: the oldest first.

    A task refers to the ancestors of its parent. Were each to list its own, a chain of 8 000
    subtasks would take 300 MB of the cluster.

    Args:
        above: The ancestors of the parent.
        parent: Its id.
    """

    __slots__ = ("_above", "_parent", "_size")

    def __init__(self, above: Sequence[str], parent: str) -> None:
        self._above = above
        self._parent = parent
        self._size = len(above) + 1

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[str]:
        nearest: list[str] = []
        one: Sequence[str] = self
        while isinstance(one, Ancestors):
            nearest.append(one._parent)
            one = one._above
        yield from one
        yield from reversed(nearest)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...
    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        if index == -1:  # the parent, which is asked for each time that a row is written
            return self._parent
        return tuple(self)[index]
