"""Results that clients create, complete and delete."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymonik.cluster.state.faults import (
    FailedPrecondition,
    Fault,
    NotFound,
    ResultNotFound,
    Unknown,
)
from pymonik.cluster.state.propagation import resolve
from pymonik.cluster.state.rows import Result, ResultStatus, Stored

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pymonik.cluster.state.tables import State


def create(
    state: State,
    result_id: str,
    session_id: str,
    name: str,
    now: int,
    *,
    manual_deletion: bool = False,
    stored: Stored | None = None,
) -> Result:
    """Create a result. With bytes it is completed, and the session is its owner.

    The session is not looked at: it may be unknown, closed or cancelled.
    """
    session = state.sessions.get(session_id)
    # The text of the session's own row: each request brings a copy, and there may be a million
    # rows.
    session_id = session_id if session is None else session.session_id
    result = Result(result_id, session_id, name, now, manual_deletion=manual_deletion)
    if stored is not None:
        result.status, result.completed_at = ResultStatus.COMPLETED, now
        result.opaque_id, result.size = stored
        result.owner_task_id = session_id
    state.add_result(result)
    return result


def upload(
    state: State, session_id: str, result_id: str, stored: Stored, now: int
) -> tuple[Result, int | None]:
    """Complete a result, whatever its status and its session, and resolve what waits for it.

    Gives also when it was completed before: that is what ArmoniK answers.
    """
    try:
        state.session(session_id)
        if result_id not in state.results:
            # The stream has been consumed by then, as it is in ArmoniK, so its bytes have to be
            # removed.
            raise ResultNotFound(f"Result not found {result_id}")
    except Fault:
        state.discard(stored.opaque_id)
        raise
    result = state.results[result_id]
    before = result.completed_at
    state.complete(result, stored, now)
    resolve(state, [result], now)
    return result, before


def import_data(
    state: State,
    session_id: str,
    imports: Sequence[tuple[str, str]],
    sizes: Mapping[str, int],
    now: int,
) -> list[Result]:
    """Complete results with objects that are in the storage already.

    Args:
        state: The tables.
        session_id: A session that exists.
        imports: Result and object, for each import.
        sizes: Bytes of each of the objects that exist.
        now: The instant.
    """
    if not imports:
        return []
    state.session(session_id)
    missing = [result_id for result_id, _ in imports if result_id not in state.results]
    if missing:
        ids = ", ".join(missing)
        raise NotFound(f"Input result IDs were not found in the database: {ids}")
    if any(opaque_id not in sizes for _, opaque_id in imports):
        raise NotFound("OpaqueId not found in the object storage")
    results = [state.results[result_id] for result_id, _ in imports]
    used = [one.result_id for one in results if one.status is not ResultStatus.CREATED]
    if used:
        raise FailedPrecondition(
            "Imported results should be in Created status, invalid results " + ", ".join(used)
        )
    if any(len(set(column)) != len(imports) for column in zip(*imports, strict=True)):
        raise Unknown("a result or an object is imported twice")
    for result, (_, opaque_id) in zip(results, imports, strict=True):
        state.complete(result, Stored(opaque_id, sizes[opaque_id]), now)
    resolve(state, results, now)
    return results


def delete_data(state: State, result_ids: Iterable[str]) -> None:
    """Delete the bytes of results, known or not; tasks that wait for them go on waiting."""
    for result in state.known_results(result_ids):
        if not result.manual_deletion:
            state.detach(result)
            state.set_result_status(result, ResultStatus.DELETED)
