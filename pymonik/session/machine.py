"""`Machine`: what a client knows of its session, and what happens to it. No threads, clock or I/O.

::

    Submitted ──► Outgoing ──► Sending ──► Pending ◄── Listening: news, lists
                                              │
               callers: Waits, Cancelling     ├──► completed ──► Values ──► Items ──► states end
                                              └──► aborted ──────────────► Ends ────► states fail

Events go in with the instant (`handle`, `tick`); requests come out (`take_requests`), and the
instant of the next look (`next_at`). Each part has its tables, in a file of its own, and changes no
other's; `Asking` gathers the requests of all. States are ended in the machine and nowhere else.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from pymonik.errors import SessionClosedError, TaskCancelledError, UnavailableError
from pymonik.session import events
from pymonik.session.asking import Asking
from pymonik.session.cancelling import Cancelling
from pymonik.session.deleting import Deleting
from pymonik.session.ends import Ends, Failures
from pymonik.session.items import Items
from pymonik.session.listening import Listening
from pymonik.session.outgoing import Outgoing
from pymonik.session.paces import Paces
from pymonik.session.pending import Pending
from pymonik.session.protocol import BATCH_TASKS
from pymonik.session.sending import Sending
from pymonik.session.values import Values
from pymonik.session.waits import Waits

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymonik.session.ends import TellPrinted
    from pymonik.session.events import Reply, Request
    from pymonik.session.forgetting import Hold
    from pymonik.session.result import ResultState

_log = logging.getLogger(__name__)

_MOST_END_S = 30.0  # seconds for which closing a session is tried while nobody answers
_END_AGAIN_S = 2.0  # seconds between two of these attempts


class Machine:
    """The parts of one session, and how it ends. For one thread.

    Args:
        batch_tasks: Most tasks of one request.
        new_id: Makes ids of results, where the cluster takes those; else it makes them itself.
        polling_s: Longest time between looks, where no stream tells of results.
        patience_s: Seconds without an answer after which whoever waits for one is told.
        hold: Gives what keeps the data of a result, where data that nobody holds are deleted.
        are_kept: Whether somebody may ask for forgotten results whom the session does not see.
        reads_ahead: Whether reading takes requests that are worth putting together.
    """

    def __init__(
        self,
        *,
        batch_tasks: int = BATCH_TASKS,
        new_id: Callable[[], str] | None = None,
        polling_s: float | None = None,
        patience_s: float = 300.0,
        hold: Callable[[str], Hold] | None = None,
        are_kept: Callable[[], bool] = lambda: False,
        reads_ahead: bool = True,
        tell_printed: TellPrinted | None = None,
    ) -> None:
        # Where reading takes requests, others can reach the cluster: they may look for failures.
        is_far = reads_ahead
        self._ends = ends = Ends(tell_printed, keeps_failed=is_far and hold is not None)
        self._asking = asking = Asking(ends, patience_s, self._out_of_patience)
        self._pending = pending = Pending(ends, makes_ids=new_id is not None)
        self._cancelling = Cancelling(asking, ends)
        self._sending = Sending(asking, ends, pending, self._cancelling, new_id)
        self._paces = Paces(asking)
        self._outgoing = Outgoing(
            ends, self._sending, self._paces, batch_tasks, is_near=new_id is not None
        )
        self._items = Items(ends, pending)
        self._values = Values(asking, self._items, reads_ahead=reads_ahead)
        self._listening = Listening(
            asking, ends, pending, self._sending, self._values, polling_s=polling_s, hold=hold
        )
        self._waits = Waits(ends, self._outgoing, self._sending, pending, self._items)
        self._deleting = Deleting(asking, ends, are_kept, is_far=is_far)
        # The caller that ends the session, and since when.
        self._end: tuple[Reply, float] | None = None
        self._last_reply: tuple[Reply, BaseException | None] | None = None
        self._handlers: dict[type[Any], Callable[[Any, float], None]] = {
            list: self._listening.news,
            events.Submitted: self._outgoing.submitted,
            events.Repeated: self._outgoing.repeated,
            events.Observed: self._waits.observed,
            events.Unobserved: self._waits.unobserved,
            events.Cancelled: self._cancelling.cancelled,
            events.Flushed: self._waits.flushed,
            events.Drained: self._waits.drained,
            events.Emptied: self._waits.emptied,
            events.Dropped: self._dropped,
            events.CountUnsent: self._count_unsent,
            events.Attached: self._attached,
            events.Wanted: self._values.wanted,
            events.Asked: asking.asked,
            events.Ending: self._ending,
            events.Forgotten: self._deleting.forgot,
            events.StreamUp: self._listening.stream_up,
            events.StreamLost: self._listening.stream_lost,
            events.Created: self._sending.created,
            events.Answered: self._answered,
            events.Gone: self._gone,
        }
        self._answers: dict[type[Request], Callable[[Any, events.Answered, float], None]] = {
            events.Send: self._sending.sent,
            events.Look: self._listening.looked,
            events.Read: self._values.read,
            events.Explain: self._values.explained,
            events.CountWorkers: self._paces.counted,
            events.End: self._ended,
            events.CancelTasks: asking.repeated,
            events.Delete: asking.repeated,
        }

    # -- what drives it ------------------------------------------------------------------------

    def start(self) -> None:
        """Ask for the news, where there is a stream."""
        self._listening.start()

    def handle(self, event: Any, now: float) -> None:
        """Something has happened; a list is news of results."""
        self._handlers[type(event)](event, now)

    def tick(self, now: float) -> None:
        """Do what is due, after the events of a turn."""
        # In this order: timers that are due may hurry calls, and transitions may fill a batch, so
        # batches leave after both. Callers are answered last: what they wait for may have happened
        # in any of these.
        self._asking.act(now)
        self._outgoing.feed(now)
        self._outgoing.leave(now)
        self._listening.look_if_due(now)
        self._values.read_together()
        self._sending.settle_refused()
        self._waits.reply_if_done()

    def take_requests(self) -> list[Request]:
        """What to ask for, in order."""
        return self._asking.take_requests()

    def next_at(self, now: float) -> float | None:
        """When to `tick` though nothing happens."""
        parts = (self._asking.next_at(), self._outgoing.next_at(now), self._listening.next_at())
        return min((at for at in parts if at is not None), default=None)

    @property
    def is_crowded(self) -> bool:
        """Whether callers should wait before they submit more."""
        return self._outgoing.is_crowded

    @property
    def is_silent(self) -> bool:
        """Whether a request has been without an answer for long."""
        return self._asking.is_silence_told

    @property
    def room(self) -> int:
        """Calls that may join the next batch before it is full."""
        return self._outgoing.room

    @property
    def is_over(self) -> bool:
        """Whether the session has ended."""
        return self._ends.is_over

    @property
    def is_idle(self) -> bool:
        """Whether nothing is left to be done."""
        is_asked = self._values.are_being_read or self._asking.has_questions
        return self._ends.is_over and not is_asked

    @property
    def failed_results(self) -> list[str]:
        """The results of calls that failed, as many as may stay."""
        return list(self._ends.failed_results)

    def tell(self, failures: Failures) -> None:
        """Have calls that fail remembered there, as long as somebody else refers to it."""
        self._ends.tell(failures)

    # -- from callers --------------------------------------------------------------------------

    def _attached(self, event: events.Attached, now: float) -> None:
        if self._ends.is_over and self._ends.closed is not None:
            self._ends.fail_all(event.states, self._ends.closed)
            return
        by_result: dict[str, list[ResultState]] = {}
        for state in event.states:
            by_result.setdefault(state.result_id or "", []).append(state)
        for result_id, states in by_result.items():
            self._items.follow(result_id, states, (), is_ours=False)
        self._pending.look_by(now)

    # -- answers -------------------------------------------------------------------------------

    def _answered(self, event: events.Answered, now: float) -> None:
        if not self._asking.answered(event, now):
            self._answers[type(event.request)](event.request, event, now)

    def _out_of_patience(self, silent_s: float) -> None:
        self._waits.unanswered(silent_s)

    # -- end -----------------------------------------------------------------------------------

    def _ending(self, event: events.Ending, now: float) -> None:
        if self._ends.closed is not None:
            event.reply.give()
            return
        if event.is_left:
            self._let_go(event.reply)
            return
        if event.is_abandoned:
            _log.warning("a session was closed, since nothing refers to its client any more")
        how = "cancelled" if event.is_cancelled else "closed"
        closed = SessionClosedError(
            "SubmitTasks", f"this session is {how}; open another `Pymonik()`"
        )
        self._ends.closed = closed
        unsent = TaskCancelledError("the session was cancelled")
        self._fail_unsent(unsent if event.is_cancelled else closed)
        self._end = (event.reply, now)
        self._deleting.delete(now)
        self._asking.ask(events.End(event.is_cancelled))

    def _let_go(self, reply: Reply) -> None:
        """The session goes on without this program, in which nobody waits for anything of it."""
        closed = self._ends.closed = SessionClosedError("SubmitTasks", "this session was left")
        self._fail_unsent(closed)
        self._fail_pending(closed)
        self._ends.is_over = True
        reply.give()

    def _dropped(self, event: events.Dropped, _: float) -> None:
        """What has not left does not leave any more; requests that are under way go on."""
        unsent = self._unsent()
        self._ends.closed = self._ends.closed or SessionClosedError(
            "SubmitTasks", "the session was left at once, before this call was sent"
        )
        self._fail_unsent(self._ends.closed)
        event.reply.give(unsent)

    def _count_unsent(self, event: events.CountUnsent, _: float) -> None:
        event.reply.give(self._unsent())

    def _unsent(self) -> int:
        return sum(1 for part in (self._outgoing, self._sending) for _ in part.states())

    def _ended(self, request: events.End, event: events.Answered, now: float) -> None:
        if self._end is None:
            return
        reply, since = self._end
        if isinstance(event.error, UnavailableError) and now - since < self._end_s:
            self._asking.ask_again(request, now + _END_AGAIN_S)
            return
        self._end = None
        self._ends.is_over = True
        why = "the session was cancelled"
        if not request.is_cancelled:
            why = "the session was closed before the task ended"
        self._fail_pending(TaskCancelledError(why))
        self._last_reply = reply, event.error

    @property
    def _end_s(self) -> float:
        return min(self._asking.patience_s, _MOST_END_S)

    def take_leave(self) -> None:
        """Tell whoever ended the session, once the channel is closed."""
        if self._last_reply is not None:
            reply, error = self._last_reply
            self._last_reply = None
            reply.give(error=error)

    def _gone(self, event: events.Gone, _: float) -> None:
        """The control plane will not answer any more: all that waits is let go."""
        self._give_up(event.error, self._ends.closed or event.error)

    def collapse(self, error: BaseException) -> None:
        """The machine broke: whoever waits for anything gets the reason, and nothing goes on."""
        self._give_up(error, error)
        self.take_leave()
        self._asking.forget()
        self._waits.reply_if_done()

    def _give_up(self, error: BaseException, closed: BaseException) -> None:
        self._ends.closed = closed
        self._ends.is_over = True
        self._fail_unsent(error)
        self._fail_pending(error)
        self._asking.give_up(error)
        self._values.give_up(error)
        self._sending.forget()
        if self._end is not None:
            self._end[0].give(error=error)
            self._end = None

    def _fail_unsent(self, error: BaseException) -> None:
        self._outgoing.fail_all(error)
        self._sending.fail_refused(error)

    def _fail_pending(self, error: BaseException) -> None:
        self._sending.fail_all(error)
        self._pending.fail_all(error)
