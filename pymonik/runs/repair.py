"""Runs calls again, and lets their handles stand for the new ones: `rerun`.

::

    chosen handles ──► new calls, same arguments ──► handles are re-pointed
                              │
    handles of calls that needed their values ──► new calls in turn, until nothing follows

A result cannot be made again in ArmoniK once it was aborted: there are new tasks and new outputs,
and whoever has the handle gets the new value. Arguments are those that were kept with the call, or
else the payload that the cluster still has; functions and stored values stay where they are.
"""

from __future__ import annotations

import contextlib
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from pymonik.code.codec import Packed
from pymonik.code.packed_function import PackedFunction, pack_function
from pymonik.code.references import Named, Referable
from pymonik.errors import DependencyFailedError, UsageError, WaitTimeoutError
from pymonik.options import TaskOptions
from pymonik.runs.called import blobs
from pymonik.runs.hearing import hear_of_found
from pymonik.runs.recorded_states import give_runs
from pymonik.runs.resending import Place, packed, places, resend
from pymonik.session.again import Reference, RunAgain, dependants, latest
from pymonik.session.outputs import output_of
from pymonik.session.protocol import AUTO, Submission
from pymonik.session.result import ResultState, Status
from pymonik.session.run import KeptCall, Run, unknown_function
from pymonik.wording import count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pymonik.session.protocol import Session

_log = logging.getLogger("pymonik")
# Seconds for the news of calls that will fail, since one that they need has failed. ArmoniK aborts
# them by itself.
_DOOMED_S: Final = 10.0


class Pointing(Protocol):
    """A handle, which can be made to stand for another state."""

    _state: ResultState

    def _point(self, state: ResultState) -> None: ...


@dataclass(frozen=True)
class Repair:
    """What was run again.

    Attributes:
        again: Calls that were chosen.
        dependants: Calls that followed, since they had failed for want of those or, with
            ``cascade=True``, had used an old value.
        kept: Other calls among those that were looked at.
        function: What the chosen ones run now.
    """

    again: int
    dependants: int
    kept: int
    function: str

    def __repr__(self) -> str:
        parts = [f"{count(self.again, 'call')} again with {self.function}"]
        if self.dependants:
            parts.append(f"{count(self.dependants, 'dependant')} again")
        if self.kept:
            parts.append(f"{self.kept} kept")
        return ", ".join(parts)


def rerun(
    handles: Sequence[Any],
    chosen: Sequence[Any],
    function: Callable[..., Any] | None,
    options: TaskOptions,
    *,
    cascade: bool,
) -> Repair:
    """Run calls again; their handles, and those of calls that follow, stand for the new ones.

    Args:
        handles: All that are looked at.
        chosen: Those whose calls are run again; those that have not ended are left as they are.
        function: Another one to run; ``None`` for the same.
        options: Over those of the calls.
        cascade: Whether calls follow too that have used an old value.

    Raises:
        UsageError: Arguments are not known any more, or a function; nothing is run again then.
    """
    if function is not None and not callable(function):
        raise UsageError(f"with_ must be a task or a function, not a {type(function).__name__}")
    states = _unique(handle._state.whole for handle in chosen)
    hear_of_found(states)
    again = _Again(options)
    again.run([state for state in states if state.is_final], function)
    first = len(again.new)
    try:
        again.follow(cascade=cascade)
    finally:  # whatever stops it: what was run again stands where it belongs
        again.point([*handles, *chosen])
    names = _unique(state.name for state in list(again.new.values())[:first])
    name = ", ".join(names) or "nothing"
    repair = Repair(first, len(again.new) - first, len(handles) - first, name)
    _log.info("%r", repair)
    return repair


def sent_again(state: ResultState) -> ResultState:
    """The state of a new call that is like another one, which stays as it is.

    Raises:
        UsageError: Arguments are not known any more, or the function.
    """
    again = _Again(TaskOptions())
    again.run([state], None)
    return again.new[state]


class _Call(NamedTuple):
    """What a call is run again with."""

    state: ResultState
    packed: Packed


class _Again:
    """Calls that are run again together.

    Attributes:
        new: The new states of calls, by the old ones.
    """

    def __init__(self, options: TaskOptions) -> None:
        self._options = options
        self._followers: list[Any] = []  # handles of calls that follow
        self.new: dict[ResultState, ResultState] = {}

    def run(self, states: Sequence[ResultState], function: Callable[..., Any] | None) -> None:
        """Run calls again, with this function or their own."""
        give_runs(states)
        groups: dict[tuple[Session, Run, TaskOptions | None], list[_Call]] = {}
        elsewhere = _found_elsewhere(states, function)
        for state in states:
            if state.run is None:
                raise UsageError(f"{_name(state)} is no call: it cannot be run again")
            if state in elsewhere and function is None:
                continue
            place = elsewhere.get(state)
            call = _Call(state, self._packed(state) if place is None else packed(state, place))
            own = state.run.options_of(state)
            groups.setdefault((state.session, state.run, own), []).append(call)
        # May raise: before any call.
        functions = {run: _function(run, function) for _, run, _ in groups}
        for (session, run, own), group in groups.items():
            options = self._options.over(own or _options(run, function))
            self._submit(session, run, functions[run], function or run.function, group, options)
        if function is None:
            for places in _by_session(elsewhere):
                self.new |= resend(places, self._options)

    def _packed(self, state: ResultState) -> Packed:
        """The arguments of a call, with the results that stand for handles now."""
        call = state.call
        assert call is not None
        refs = call.refs if isinstance(call, KeptCall) else ()
        found = [self._reference(ref()) for ref in refs]
        streams = blobs(call)
        nbytes = sum(memoryview(one).nbytes for one in streams)
        if not isinstance(call, KeptCall):
            return Packed(streams, nbytes, found)
        return Packed(streams, nbytes, found, call.modules, files=call.files)

    def _reference(self, needed: ResultState | None) -> Referable:
        assert needed is not None
        found = Reference(self.new.get(needed.whole) or latest(needed.whole))
        return Reference(output_of(found._state, needed.output))

    def _submit(
        self,
        session: Session,
        run: Run,
        packed: PackedFunction,
        function: Callable[..., Any],
        calls: Sequence[_Call],
        options: TaskOptions,
    ) -> None:
        olds = [call.state for call in calls]
        submission = Submission(
            packed,
            [call.packed for call in calls],
            options,
            chunk_size=AUTO if len(calls) > 1 else 1,
            run=RunAgain(function, packed.name, run, olds, options),
        )
        # Added group by group: where a later one fails, `rerun` still points the handles of this
        # one.
        self.new.update(zip(olds, session.submit(submission), strict=True))

    # -- what follows --------------------------------------------------------------------------

    def follow(self, *, cascade: bool) -> None:
        """Run those again that needed what is run again, and those that needed these."""
        # Weakly held: a call whose handles are gone is not run again for nobody.
        known = dependants()
        _wait_for_doomed(list(known), set(self.new))
        while level := self._next_level(known, cascade=cascade):
            self._followers += [one for state in level if (one := known[state]) is not None]
            self.run(level, None)

    def _next_level(self, known: Iterable[ResultState], *, cascade: bool) -> list[ResultState]:
        return [
            state
            for state in known
            if state not in self.new and _follows(state, cascade=cascade) and self._can_run(state)
        ]

    def _can_run(self, state: ResultState) -> bool:
        """Whether something that a call needs is run again, and all else is there."""
        if state.again is not None and state.again.after() is not None:
            return False  # the call has been run again before
        needed = _needed(state)
        if None in needed or not any(one in self.new for one in needed):
            return False
        others = [latest(one) for one in needed if one is not None and one not in self.new]
        return all(one.status is not Status.FAILED for one in others)

    def point(self, handles: Iterable[Any]) -> None:
        """Let handles stand for the new states."""
        for handle in [*handles, *self._followers]:
            if (state := self.new.get(handle._state)) is not None:
                handle._point(state)


def _found_elsewhere(
    states: Sequence[ResultState], function: Callable[..., Any] | None
) -> dict[ResultState, Place]:
    """Calls whose arguments, or functions, the program does not have, but the cluster."""
    missing = [
        state
        for state in states
        if state.run is not None
        and (
            state.call is None
            or None in _needed(state)
            or (function is None and state.run.function is unknown_function)
        )
    ]
    by_session: dict[Session, list[ResultState]] = {}
    for state in missing:
        by_session.setdefault(state.session, []).append(state)
    found: dict[ResultState, Place] = {}
    for some in by_session.values():
        found |= places(some)
    return found


def _by_session(found: dict[ResultState, Place]) -> list[dict[ResultState, Place]]:
    groups: dict[Session, dict[ResultState, Place]] = {}
    for state, place in found.items():
        groups.setdefault(state.session, {})[state] = place
    return list(groups.values())


def _wait_for_doomed(known: Sequence[ResultState], again: set[ResultState]) -> None:
    """Wait for calls to fail which need what has failed: the news may be on their way."""
    lost = {state for state in again if state.status is Status.FAILED}
    doomed: list[ResultState] = []
    while more := [
        state for state in known if not state.is_final and state not in lost
        and not lost.isdisjoint(_needed(state))
    ]:  # fmt: skip
        lost.update(more)
        doomed += more
    by_session: dict[Session, list[ResultState]] = {}
    for state in doomed:
        by_session.setdefault(state.session, []).append(state)
    deadline = time.monotonic() + _DOOMED_S
    for session, states in by_session.items():
        with contextlib.suppress(WaitTimeoutError):
            session.wait(states, max(0.0, deadline - time.monotonic()))


def _needed(state: ResultState) -> list[ResultState | None]:
    """What a call needs; ``None`` for what the program does not hold any more."""
    if not isinstance(state.call, KeptCall):
        return []
    return [None if (one := ref()) is None else one.whole for ref in state.call.refs]


def _follows(state: ResultState, *, cascade: bool) -> bool:
    if issubclass(type(state.error), DependencyFailedError):
        return True
    return cascade and state.is_final


def _function(run: Run, given: Callable[..., Any] | None) -> PackedFunction:
    """The function as it travels; that of the run as it is now, unless another is given."""
    function: Any = run.function if given is None else given
    if isinstance(function, Named):
        packed: PackedFunction = function.packed()  # type: ignore[attr-defined] # a `Task`
        return packed
    return pack_function(function, getattr(function, "__name__", run.name))


def _options(run: Run, function: Callable[..., Any] | None) -> TaskOptions:
    """The options of the task; a plain function has none."""
    for one in (run.function, function):
        options: object = getattr(one, "options", None)
        if isinstance(options, TaskOptions):
            return options
    return TaskOptions()


def _name(state: ResultState) -> str:
    return f"item {state.index} of {state.name}" if state.index >= 0 else state.name or "this call"


def _unique(items: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(items))
