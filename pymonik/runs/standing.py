"""How calls stand, one by one: `summary`, with values and errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pymonik.errors import PymonikError
from pymonik.runs.hearing import hear_of_found
from pymonik.runs.table import status
from pymonik.runs.watch import running

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_NAMES: Final = {"ok": "finished", "failed": "failed", "cancelled": "cancelled"}
STANDINGS: Final = ("finished", "failed", "cancelled", "running", "pending")


@dataclass(frozen=True, slots=True)
class Standing:
    """One call.

    Attributes:
        index: Number of the call, in the order of the handles.
        value: What it gave, if it has finished.
        error: Why it gave nothing, if it failed or was cancelled.
        handle: Of the call.
    """

    index: int
    value: Any
    error: BaseException | None
    handle: Any


def summary(handles: Sequence[Any], value_of: Callable[[Any], object]) -> dict[str, list[Standing]]:
    """The calls by how they stand; all five kinds are there, also where they are empty.

    Calls are counted, however many of them share a task: of a task that a worker has, all that have
    not ended count as running.

    Args:
        handles: Of the calls.
        value_of: Gives the value of one that has finished.
    """
    found: dict[str, list[Standing]] = {name: [] for name in STANDINGS}
    hear_of_found(handle._state for handle in handles)
    tasks = _running(handles)
    for number, handle in enumerate(handles):
        state = handle._state
        name = _NAMES.get(status(state))
        if name is None:
            name = "running" if state.task_id and state.task_id in tasks else "pending"
        value = value_of(handle) if name == "finished" else None
        index = state.index if state.index >= 0 else number
        found[name].append(Standing(index, value, state.error, handle))
    return found


def _running(handles: Sequence[Any]) -> frozenset[str]:
    pending = [one._state for one in handles if not one._state.is_final]
    try:
        return running(pending) if pending else frozenset()
    except PymonikError:  # the control plane does not answer: running calls count as pending
        return frozenset()
