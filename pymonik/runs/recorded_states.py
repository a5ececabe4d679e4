"""States of calls that another program has made, in the runs that its records tell of.

::

    ids of results ──► records of the session ──► runs, numbers ──► states, as the items are now

So a handle that was written down before its call was run again, in a file or a pickle, stands for
the new call; and to run it again is recorded under the number that it has in its run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymonik.runs.reading import drop_unsent, outputs_of, read_runs
from pymonik.session.remote import RemoteSession
from pymonik.session.result import ResultState
from pymonik.session.run import RunOfOthers, unknown_function

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from pymonik.session.recorded import RecordedRun

    At = tuple[str, int]


def states_of(
    session: RemoteSession, run: RecordedRun, numbers: Collection[int] | None = None
) -> dict[int, ResultState]:
    """The states of items of a run by number, kept up to date from now on.

    Those that this program has already are the same.

    Args:
        session: Of the run.
        run: Without the items that never left.
        numbers: Of the items; ``None`` for all.
    """
    # A call has one state in a program, whoever finds it and how often: to run it again changes all
    # of its handles.
    known = session.recorded_states()
    states, new = {}, []
    for number, item in run.items.items():
        if numbers is not None and number not in numbers:
            continue
        state = known.get(item.at)
        if state is None:
            state = ResultState(session, run.function.name, item.output_id, item.place)
            state.task_id = item.task_id
            new.append(state)
        states[number] = state
    _belong(session, run, {number: state for number, state in states.items() if not state.run})
    session.follow(new)
    return states


def states_at(session: RemoteSession, places: Collection[At]) -> dict[At, ResultState]:
    """The states that the calls have now whose values stand, or once stood, at these places.

    What no record names is missing: stored values, and calls of sessions without records.
    """
    found: dict[At, ResultState] = {}
    for run, numbers in _runs_with(session, places):
        states = states_of(session, run, set(numbers.values()))
        found |= {at: states[number] for at, number in numbers.items() if number in states}
    return found


def give_runs(states: Iterable[ResultState]) -> None:
    """Let calls belong to their runs of which nothing but ids is known: out of pickles."""
    by_session: dict[RemoteSession, list[ResultState]] = {}
    for state in states:
        if state.run is None and state.task_id and isinstance(state.session, RemoteSession):
            by_session.setdefault(state.session, []).append(state)
    for session, some in by_session.items():
        at = {(state.result_id or "", state.item): state for state in some}
        for run, numbers in _runs_with(session, at) if session.is_recorded else ():
            _belong(session, run, {numbers[one]: at[one] for one in numbers})
        for state in some:  # no record names them, but the cluster knows their tasks
            state.run = state.run or RunOfOthers(unknown_function, state.name)


def _runs_with(
    session: RemoteSession, places: Collection[At]
) -> list[tuple[RecordedRun, dict[At, int]]]:
    """The runs that have something at these places, with its numbers."""
    wanted = set(places)
    runs = read_runs(session.lists, session.session_id)
    pairs = [(run, {at: n for at, n in run.numbers().items() if at in wanted}) for run in runs]
    found = [(run, numbers) for run, numbers in pairs if numbers]
    outputs = outputs_of(session.lists, [run for run, _ in found])
    for run, _ in found:
        drop_unsent(run, outputs)
    return found


def _belong(session: RemoteSession, run: RecordedRun, states: dict[int, ResultState]) -> None:
    if not states:
        return
    label = "" if run.label == run.function.name else run.label
    of_others = RunOfOthers(unknown_function, run.function.name, label, run.parameters)
    of_others.started, of_others.total = run.started, run.total
    for number, state in states.items():
        state.run = of_others
        state.index = -1 if run.single else number
    session.came(of_others, run, states)
