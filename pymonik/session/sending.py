"""Tasks that are leaving: their requests are under way, were not answered, or were refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymonik.errors import ControlPlaneError, SessionClosedError, UnavailableError
from pymonik.session import events
from pymonik.session.asking import pause
from pymonik.session.dependencies import dependency_failed
from pymonik.session.tasks import OutgoingTask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pymonik.session.asking import Asking
    from pymonik.session.cancelling import Cancelling
    from pymonik.session.ends import Ends
    from pymonik.session.pending import Pending
    from pymonik.session.result import ResultState

_MOST_SENDS = 4  # batches that are under way at the same time
_QUICK_BYTES = 256 * 1024  # of the arguments of a task up to which it goes over the direct socket


class Sending:
    """Sends batches, and again until somebody answers.

    Args:
        asking: Makes the requests.
        ends: Of the session.
        pending: Gets the results of tasks that were sent.
        cancelling: Of tasks that nobody wants any more when they have been sent.
        new_id: Makes ids of results, where the cluster takes those.
    """

    def __init__(
        self,
        asking: Asking,
        ends: Ends,
        pending: Pending,
        cancelling: Cancelling,
        new_id: Callable[[], str] | None,
    ) -> None:
        self._asking = asking
        self._ends = ends
        self._pending = pending
        self._cancelling = cancelling
        self._new_id = new_id
        self._sends: dict[events.Send, int] = {}  # under way, and how often each was tried
        self._uploaded: set[str] = set()  # see `OutgoingTask.uploads`
        self._refused: list[tuple[OutgoingTask, ControlPlaneError]] = []
        # Tasks under way that need what was refused meanwhile, by address: to be cancelled once
        # they are sent.
        self._orphans: dict[int, OutgoingTask] = {}

    @property
    def has_room(self) -> bool:
        """Whether another batch may leave.

        Where requests take no time, none overtakes one that brings the code: calls would begin in
        another order than that in which they were made.
        """
        if self._new_id is not None and any(send.brings_code for send in self._sends):
            return False
        return len(self._sends) < _MOST_SENDS

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way."""
        return not self._sends

    @property
    def has_tasks(self) -> bool:
        """Whether of some task it is not known whether it was sent."""
        return bool(self._sends or self._refused)

    def states(self) -> Iterator[ResultState]:
        """The states of tasks of which it is not known whether they were sent."""
        tasks = [task for send in self._sends for task in send.tasks]
        refused = [task for task, _ in self._refused]
        return (state for task in (*tasks, *refused) for state in task.states)

    def send(self, batch: list[OutgoingTask]) -> None:
        """Have the tasks submitted."""
        brings_code = not all(self._uploaded.issuperset(task.uploads) for task in batch)
        is_quick = (
            self._new_id is not None
            and not brings_code
            and all(task.nbytes <= _QUICK_BYTES for task in batch)
        )
        if is_quick and self._new_id is not None:
            for task in batch:
                task.give_id(self._new_id())
                self._pending.watch(task)
        is_blind = not self._pending.is_stream_up
        request = events.Send(batch, is_quick, is_blind=is_blind, brings_code=brings_code)
        self._sends[request] = 0
        self._asking.ask(request)

    def miss_news(self) -> None:
        """News of the tasks under way may have been missed."""
        for send in self._sends:
            send.is_blind = True

    # -- answers -------------------------------------------------------------------------------

    def created(self, event: events.Created, _: float) -> None:
        """The results of tasks exist, and the tasks are about to."""
        for task in event.tasks:
            if task.states:
                self._pending.watch(task)
        self._pending.has_new = True

    def sent(self, request: events.Send, event: events.Answered, now: float) -> None:
        """A batch was submitted, or was not."""
        tries = self._sends.pop(request, 0)
        if event.error is not None and self._ends.closed is None:
            again = events.Send(request.tasks, is_blind=True, brings_code=request.brings_code)
            if isinstance(event.error, UnavailableError):
                self._sends[again] = tries + 1
                self._asking.ask_again(again, now + pause(tries))
                return
            if request.is_quick:  # tasks are sent one by one, which finds out which is to blame
                self._sends[again] = tries
                self._asking.ask(again)
                return
        self._settle(request, event)
        if self._pending.unseen and self._pending.is_stream_up:
            self._pending.look_by(now)
        elif self._pending.unseen:
            self._pending.has_new = True

    def _settle(self, request: events.Send, event: events.Answered) -> None:
        refused: dict[int, tuple[OutgoingTask, ControlPlaneError]]
        refused = {id(task): (task, error) for task, error in event.value or ()}
        for task in request.tasks:
            if event.error is not None and not task.task_id:
                self._refuse(task, event.error)
            elif id(task) in refused:
                self._pending.take(task.result_id)
                self._refused.append(refused[id(task)])
            else:
                self._submitted(task)
                if self._orphans and self._orphans.pop(id(task), None) is not None:
                    self._drop_orphan(task)
                if request.is_blind and task.result_id in self._pending.results:
                    self._pending.unseen[task.result_id] = None

    def _submitted(self, task: OutgoingTask) -> None:
        self._uploaded.update(task.uploads)
        task.was_sent()
        if task.is_cancelled:
            self._cancelling.cancel_tasks([task])

    # -- refusals ------------------------------------------------------------------------------

    def _refuse(self, task: OutgoingTask, error: BaseException) -> None:
        self._pending.take(task.result_id)
        self._ends.fail_all(task.states, error)
        series = task.series
        task.leave_series()
        if isinstance(error, SessionClosedError) and series is not None:
            self._ends.fail_all(series.give_up(), error)

    def settle_refused(self) -> None:
        """End tasks that were refused since one that they need has failed, once it is known which.

        The control plane may know of the failure before its news have come.
        """
        if not self._refused:
            return
        refused, self._refused = self._refused, []
        for task, error in refused:
            cause = _cause(task)
            if cause is not None:
                self._refuse(task, dependency_failed(cause, "", task.result_id))
            elif all(ref._state.is_final for ref in task.inputs) or self._ends.is_over:
                self._refuse(task, error)
            else:
                self._refused.append((task, error))
                continue
            self._drop_orphans(task)

    def _drop_orphans(self, refused: OutgoingTask) -> None:
        """Tasks that need what was refused would wait for ever: no task will produce it."""
        gone = [refused]  # kept until the end: what is lost is known by address
        lost = {id(state) for state in refused.states}
        is_more = True
        while is_more:  # no recursion, and mostly one pass: a chain may have thousands of links
            is_more = False
            for task in list(self._pending.results.values()):
                if isinstance(task, OutgoingTask) and _needs(task, lost):
                    self._end_orphan(task)
                    gone.append(task)
                    lost.update(map(id, task.states))
                    is_more = True
        # Those under way whose results are not there yet are dropped once they were sent.
        self._orphans.update(
            (id(task), task)
            for send in self._sends
            for task in send.tasks
            if task.result_id not in self._pending.results and _needs(task, lost)
        )
        self._cancelling.cancel_tasks(gone[1:])

    def _drop_orphan(self, task: OutgoingTask) -> None:
        self._cancelling.cancel_tasks([task])
        self._end_orphan(task)
        self._drop_orphans(task)

    def _end_orphan(self, task: OutgoingTask) -> None:
        cause = _cause(task) or ControlPlaneError("SubmitTasks", "refused")
        self._refuse(task, dependency_failed(cause, task.task_id, task.result_id))

    # -- end -----------------------------------------------------------------------------------

    def fail_refused(self, error: BaseException) -> None:
        """Fail the tasks that were refused: the reason cannot be asked for any more."""
        refused, self._refused = self._refused, []
        for task, _ in refused:
            self._ends.fail_all(task.states, error)

    def fail_all(self, error: BaseException) -> None:
        """Fail the tasks of all requests under way: how these ended will not be known."""
        for send in self._sends:
            for task in send.tasks:
                self._ends.fail_all(task.states, error)

    def forget(self) -> None:
        """No answer will come."""
        self._sends.clear()
        self._orphans.clear()


def _needs(task: OutgoingTask, lost: set[int]) -> bool:
    """Whether a task needs one of the results whose states have these addresses."""
    return bool(task.inputs) and not lost.isdisjoint(id(ref._state) for ref in task.inputs)


def _cause(task: OutgoingTask) -> BaseException | None:
    """Why one of the results that a task needs will never be there, if one will not."""
    errors = (ref._state.error for ref in task.inputs)
    return next((error for error in errors if error is not None), None)
