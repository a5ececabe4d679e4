"""Every attempt at a call: where it ran, how long, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pymonik.runs.error_lines import summary
from pymonik.runs.figures import Measured, measured
from pymonik.runs.logs import logs_of, stored_log
from pymonik.runs.summaries import outcome
from pymonik.runs.watch import Listed
from pymonik.wire.error_text import failure_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymonik.runs.rows import TaskRow
    from pymonik.session.result import ResultState


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at the task of a call.

    Attributes:
        number: 1 for the first.
        task_id: Of this attempt.
        status: ``ok``, ``failed``, ``cancelled``, ``retried``, ``running`` or ``pending``.
        worker: The pod that had it, ``""`` before.
        seconds: How long it ran; of a task that several calls share, all of them.
        cause: Why it failed, ``""`` where it did not.
        started: When it began to run, in seconds since the epoch.
        error: All that its worker said of how it failed, for people.
        output: The last that it has printed, as far as the cluster or the result has it.
    """

    number: int
    task_id: str
    status: str
    worker: str
    seconds: float | None
    cause: str
    started: float | None = None
    error: str = ""
    output: str = ""


def attempts(state: ResultState) -> list[Attempt]:
    """The attempts at a call, in order; empty before it is sent, and for data.

    Raises:
        ControlPlaneError: It cannot be asked.
    """
    if not state.task_id or not isinstance(state.session, Listed):
        return []
    found = sorted(
        state.session.lists.tasks(first_ids=[state.task_id]), key=lambda row: row.attempt
    )
    return [_attempt(row, state, is_last=row is found[-1]) for row in found]


def _printed(row: TaskRow, state: ResultState, *, is_last: bool) -> str:
    """The last attempt's comes with its end; earlier ones left what was told while they ran.

    Where a worker of ArmoniK tells nothing meanwhile, the failure of a call alone has its end.
    """
    if is_last:
        return logs_of(state)
    session = state.session
    if not isinstance(session, Listed) or state.result_id is None:
        return ""
    place = 0 if state.item < 0 else state.item
    # All attempts promise the same output, so their logs are told apart by the number of the
    # attempt.
    log = stored_log(session.lists, session.session_id, state.result_id, place, row.attempt)
    if log:
        return log
    failure = failure_of(row.told, getattr(session, "nonce", ""))
    return "" if failure is None else failure.output


def _attempt(row: TaskRow, state: ResultState, *, is_last: bool) -> Attempt:
    known = measured(state.head, state.item) if state.head is not None and is_last else Measured()
    seconds = known.seconds
    # The time of the whole task: what an executor measured of the call is more exact, but only the
    # last attempt leaves a result.
    if seconds is None and row.started and row.ended:
        seconds = row.ended - row.started
    status, cause = outcome(row.status), _last_line(row.error)
    if is_last and state.error is not None:
        # A call that failed among others in a task: the task has ended well.
        status, cause = ("failed" if status == "ok" else status), str(summary(state.error))
    error = row.error or cause
    output = _printed(row, state, is_last=is_last)
    return Attempt(
        row.attempt, row.task_id, status, row.worker, seconds, cause, row.started, error, output
    )


def of_rows(rows: Sequence[TaskRow]) -> list[Attempt]:
    """The attempts in these rows of one task, in order."""
    return [_of_row(row) for row in sorted(rows, key=lambda row: row.attempt)]


def _of_row(row: TaskRow) -> Attempt:
    seconds = row.ended - row.started if row.started and row.ended else None
    return Attempt(
        row.attempt, row.task_id, outcome(row.status), row.worker, seconds, _last_line(row.error),
        row.started, row.error,
    )  # fmt: skip


def _last_line(text: str) -> str:
    """The last line of a text: of a traceback that is the exception."""
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else ""
