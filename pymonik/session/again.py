"""Calls that are run again: what a state was before, and who uses its value.

::

    handle ──► state, failed          `rerun`: a new call with the arguments of the old one
       └─────► state, new ──before──► state, failed
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from pymonik.code.references import Referable
from pymonik.session.run import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pymonik.code.codec import Packed
    from pymonik.options import TaskOptions
    from pymonik.session.result import ResultState


class Again:
    """What ties a state to the one that took its place.

    Attributes:
        before: What it took the place of: kept, since it is a part of the history.
        after: Gives what took its place, as long as that lives.
    """

    __slots__ = ("after", "before")

    def __init__(self) -> None:
        self.before: ResultState | None = None
        self.after: Callable[[], ResultState | None] = _nothing


def replace(old: ResultState, new: ResultState) -> None:
    """Let ``new`` be the same call as ``old``, later."""
    for state in (old, new):
        if state.again is None:
            state.again = Again()
    assert old.again is not None
    assert new.again is not None
    old.is_seen = True  # whoever runs a call again has seen how it ended
    old.again.after = weakref.ref(new)
    new.again.before = old
    if (handle := _dependants.get(old)) is not None:
        _dependants[new] = handle


def latest(state: ResultState) -> ResultState:
    """The state that a call has now."""
    while state.again is not None and (after := state.again.after()) is not None:
        state = after
    return state


def past(state: ResultState) -> list[ResultState]:
    """The states that a call had, the first one first, with this one as the last."""
    states = [state]
    while state.again is not None and state.again.before is not None:
        state = state.again.before
        states.append(state)
    states.reverse()
    return states


class RunAgain(Run):
    """Some calls of a run for another time, by the same function or another one.

    Args:
        function: What is called now.
        name: Of it.
        of: The run that the calls belong to.
        olds: What they were before, in the order in which they are submitted.
        options: Of the new calls.
    """

    __slots__ = ("_olds", "_root")

    def __init__(
        self,
        function: Callable[..., object],
        name: str,
        of: Run,
        olds: Sequence[ResultState],
        options: TaskOptions,
    ) -> None:
        super().__init__(function, name, of.label, of.parameters)
        self._root = of.root
        self.has_pickles = of.has_pickles
        self.options = options
        self.total = self._root.total
        self._olds = iter(olds)

    @property
    def root(self) -> Run:
        """The run as it was started."""
        return self._root

    @property
    def title(self) -> str:
        """The title of the run as it was started."""
        return self.root.title

    def add(
        self,
        states: Sequence[ResultState],
        calls: Sequence[Packed],
        options: TaskOptions,  # noqa: ARG002 - it was made with them
    ) -> None:
        """Remember of each call that it belongs here, and which one it was before.

        That must be known before the thread of the session sees the call: its record has the
        number of the old one.
        """
        for state, call in zip(states, calls, strict=True):
            old = next(self._olds)
            state.run, state.index = self, old.index
            replace(old, state)
            self.keep(state, call)


class Reference(Referable):
    """Stands for a result among the arguments of a call that is run again."""

    __slots__ = ("_state",)

    def __init__(self, state: ResultState) -> None:
        self._state = state


# Calls that have others among their arguments, by state, each with a weak reference to its handle.
# `rerun` of a call looks here for the calls after it: they have to run again too, and their handles
# follow.
_dependants: weakref.WeakKeyDictionary[ResultState, Callable[[], Referable | None]]
_dependants = weakref.WeakKeyDictionary()


def note_dependants(handles: Sequence[Referable], calls: Sequence[Packed]) -> None:
    """Remember those of these calls that need results of others."""
    for handle, call in zip(handles, calls, strict=True):
        if call.refs:
            _dependants[handle._state] = weakref.ref(handle)


def dependants() -> dict[ResultState, Referable | None]:
    """Calls that need results of others, with the handles that there are."""
    return {state: handle() for state, handle in list(_dependants.items())}


def _nothing() -> None:
    return None
