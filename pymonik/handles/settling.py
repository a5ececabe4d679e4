"""Waits for many handles and fetches their values, in one request for each session."""

from __future__ import annotations

import contextlib
import itertools
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from pymonik.errors import WaitTimeoutError
from pymonik.files.client_reader import ClientReader, complete
from pymonik.quantities import wait_s
from pymonik.runs import waiting
from pymonik.session.result import ResultState, Status, learn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymonik.handles.result_handle import ResultHandle
    from pymonik.session.protocol import Session
    from pymonik.wire.call import ResultRef

UNKNOWN = object()  # the value of a handle that was not fetched yet


def settle(
    handles: Sequence[ResultHandle[Any]],
    timeout: float | None,
    *,
    until_failure: bool = False,
    alarms: Sequence[ResultHandle[Any]] = (),
) -> None:
    """Wait until all are final.

    Args:
        handles: What is waited for.
        timeout: Seconds; ``None`` waits without limit.
        until_failure: Whether one that failed is enough.
        alarms: One of these that failed is enough too, once the wait takes long.
    """
    if until_failure and has_failed(handles):
        return
    pending = [handle for handle in handles if handle._state.status is Status.PENDING]
    groups = by_session(pending)
    blocks = itertools.count()

    def block(limit_s: float | None) -> None:
        # The first of two waits is short: it does not pay for the alarms.
        others = by_session(alarms) if next(blocks) else {}
        deadline = None if limit_s is None else time.monotonic() + limit_s
        for session, states in groups.items():
            session.wait(
                states,
                _left(deadline),
                until_failure=until_failure,
                alarms=others.get(session, ()),
            )
            if until_failure and any(state.error is not None for state in states):
                return

    if groups:
        waiting.wait(block, [handle._state for handle in pending], wait_s(timeout))
    ensure_saved(handles)


def has_failed(handles: Sequence[ResultHandle[Any]]) -> bool:
    """Whether one of them has failed, as far as is known."""
    # A list: with a generator each item would cost three times as much, and a map asks this twice.
    return bool([handle for handle in handles if handle._state.error is not None])


def settle_until(handles: Sequence[ResultHandle[Any]], limit_s: float | None) -> None:
    """Wait until all are final, or so long; failures raise nothing."""
    deadline = None if limit_s is None else time.monotonic() + limit_s
    for session, states in by_session(handles).items():
        with contextlib.suppress(WaitTimeoutError):
            session.wait(states, _left(deadline))


def ensure_saved(handles: Sequence[ResultHandle[Any]]) -> None:
    """Have the files of the calls that have ended lie where they are to be saved."""
    for handle in handles:
        run = handle._state.run
        if run is not None and run.saving is not None:
            run.saving.ensure(handle._state)


def load(handles: Sequence[ResultHandle[Any]]) -> None:
    """Fetch the values that are there and not known, in one request for each session."""
    groups: dict[Session, list[ResultHandle[Any]]] = {}
    for handle in handles:
        state = handle._state
        if handle._value is UNKNOWN and state.status is Status.COMPLETED:
            groups.setdefault(state.session, []).append(handle)
    for session, wanted in groups.items():
        states = [handle._state for handle in wanted]
        results = session.fetch(states)
        learn(states, results)
        reader = ClientReader(session)
        follow = partial(_value_at, session, reader)
        for handle, state, result in zip(wanted, states, results, strict=True):
            handle._value = result.value(state.item, follow, reader, state.output)


def _value_at(session: Session, reader: ClientReader, place: ResultRef) -> object:
    """The value of a result that was there before the one that refers to it: a large output."""
    state = ResultState(session, "", place.result_id, place.item)
    state.complete()
    (result,) = session.fetch([state])
    return result.value(place.item, reader=reader, output=place.output)


def load_finished(handles: Sequence[ResultHandle[Any]]) -> None:
    """Fetch the values of those that have ended well."""
    load([handle for handle in handles if handle._state.status is Status.COMPLETED])


def by_session(handles: Sequence[ResultHandle[Any]]) -> dict[Session, list[ResultState]]:
    """The states of the handles, by the session that they belong to."""
    groups: dict[Session, list[ResultState]] = {}
    for handle in handles:
        state = handle._state
        if state.session not in groups:
            groups[state.session] = []
        groups[state.session].append(state)
    return groups


def refuse_in_a_task(states: Sequence[ResultState]) -> None:
    """Have the session say no where nothing can be waited for; elsewhere it sends what is left."""
    if pending := [state for state in states if not state.is_final]:
        with contextlib.suppress(WaitTimeoutError):
            pending[0].session.wait(pending, 0)


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def told(state: ResultState) -> BaseException | None:
    """Why a call failed, with a note of which one it was of several."""
    error, run = state.error, state.run
    state.is_seen = state.is_final  # from here on no warning tells of the failure as unseen
    if error is not None:
        complete(error, state)
        if run is not None and state.index >= 0:
            from pymonik.code.exceptions import note_item  # most calls end well

            note_item(error, state.index, run.total)
    return error
