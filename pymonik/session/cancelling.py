"""Calls whose values nobody wants, and the tasks that run for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymonik.errors import TaskCancelledError
from pymonik.session import events
from pymonik.session.result import Status
from pymonik.session.tasks import OutgoingTask, Stage, is_item

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pymonik.session.asking import Asking
    from pymonik.session.ends import Ends
    from pymonik.session.result import ResultState
    from pymonik.session.tasks import Awaited


class Cancelling:
    """Cancels calls at once where they have not left; else the cluster is asked to.

    Args:
        asking: Makes the requests.
        ends: Of the session.
    """

    def __init__(self, asking: Asking, ends: Ends) -> None:
        self._asking = asking
        self._ends = ends

    def cancelled(self, event: events.Cancelled, _: float) -> None:
        """Somebody has cancelled calls."""
        found: dict[int, Awaited] = {}
        for state in event.states:
            if state.status is Status.PENDING:
                awaited = self._cancel(state)
                if awaited is not None:
                    found[id(awaited)] = awaited
        self.cancel_tasks(found.values())

    def _cancel(self, state: ResultState) -> Awaited | None:
        """Cancel one call; gives the task to be cancelled with it."""
        awaited = state.awaited
        if awaited is None or (
            isinstance(awaited, OutgoingTask) and awaited.stage is Stage.WAITING
        ):
            error = TaskCancelledError("the call was cancelled before it was sent")
            self._ends.fail(state, error)
            return None
        if not is_item(state):
            return awaited
        error = TaskCancelledError("the call was cancelled", state.task_id, state.result_id or "")
        self._ends.fail(state, error)
        # Of a result that came out of a pickle it is not known which other calls share it.
        is_last = awaited.is_ours and all(one.is_final for one in awaited.states)
        return awaited if is_last else None

    def cancel_tasks(self, found: Iterable[Awaited]) -> None:
        """Cancel the tasks that produce results; those on their way, as soon as they were sent."""
        tasks: dict[str, str] = {}
        for one in found:
            # A task whose request is under way has no id that could be cancelled.
            if isinstance(one, OutgoingTask) and one.stage is not Stage.SENT:
                one.is_cancelled = True
            elif one.result_id:
                tasks[one.result_id] = one.task_id if isinstance(one, OutgoingTask) else ""
        if tasks:
            self._asking.ask(events.CancelTasks(tasks))
