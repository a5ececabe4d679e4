"""What the machine of a session asks for, when it does so again, and whether anybody answers."""

from __future__ import annotations

import heapq
import itertools
import logging
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from pymonik.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymonik.session import events
    from pymonik.session.ends import Ends
    from pymonik.session.events import Reply, Request

_log = logging.getLogger(__name__)

_PAUSES_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)  # seconds between attempts while nobody answers
_SILENT_S = 1.5  # seconds without an answer before a line is logged; a restart is mostly shorter


class _Question(msgspec.Struct):
    """A caller who waits for the answer to a request."""

    reply: Reply
    since: float
    attempts: int = 0


class Asking:
    """Requests on their way to the channel, and those that callers wait for.

    Args:
        ends: Of the session.
        patience_s: Seconds without an answer after which whoever waits for one is told.
        out_of_patience: Called when nobody has answered for so long, and then once in so long.
    """

    def __init__(
        self, ends: Ends, patience_s: float, out_of_patience: Callable[[float], None]
    ) -> None:
        self._ends = ends
        self._out_of_patience = out_of_patience
        self.patience_s = patience_s
        self._requests: list[Request] = []
        self._timers: list[tuple[float, int, Callable[[float], None]]] = []
        # Part of each timer, so that timers of one instant go off in the order of their making, and
        # the heap never compares two actions.
        self._numbers = itertools.count()
        self._questions: dict[Request, _Question] = {}
        # Requests to repeat, by number. Each is repeated once: at its time, or as soon as somebody
        # answers, whichever is first; its timer then finds nothing here.
        self._repetitions: dict[int, Callable[[float], None]] = {}
        self._silent_since: float | None = None
        self.is_silence_told = False

    @property
    def has_questions(self) -> bool:
        """Whether somebody waits for the answer to a request."""
        return bool(self._questions)

    def take_requests(self) -> list[Request]:
        """What to ask for, in order."""
        requests, self._requests = self._requests, []
        return requests

    def ask(self, request: Request) -> None:
        """Make a request when this turn of the machine is over."""
        self._requests.append(request)

    def ask_again(self, request: Request, at: float) -> None:
        """Repeat a request that nobody answered; see `again`."""
        self.again(at, lambda _: self.ask(request))

    def again(self, at: float, action: Callable[[float], None]) -> None:
        """Have what nobody answered repeated at an instant, or as soon as somebody answers."""
        number = next(self._numbers)
        self._repetitions[number] = action
        self.after(at, partial(self._repeat, number))

    def _repeat(self, number: int, now: float) -> None:
        action = self._repetitions.pop(number, None)
        if action is not None:
            action(now)

    def after(self, at: float, action: Callable[[float], None]) -> None:
        """Have ``action`` called at an instant, with that of the call."""
        heapq.heappush(self._timers, (at, next(self._numbers), action))

    def next_at(self) -> float | None:
        """When the next action is due."""
        return self._timers[0][0] if self._timers else None

    def act(self, now: float) -> None:
        """Do what is due."""
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2](now)

    # -- questions -----------------------------------------------------------------------------

    def asked(self, event: events.Asked, now: float) -> None:
        """Somebody waits for the answer to a request."""
        self._questions[event.request] = _Question(event.reply, now)
        self.ask(event.request)

    def answered(self, event: events.Answered, now: float) -> bool:
        """A request was answered; gives whether it was somebody's question."""
        if isinstance(event.error, UnavailableError):
            self._unanswered(now)
        else:
            self.heard(now)
        request = event.request
        question = self._questions.get(request)
        if question is None:
            return False
        if isinstance(event.error, UnavailableError) and now - question.since < self.patience_s:
            self.ask_again(request, now + pause(question.attempts))
            question.attempts += 1
        else:
            del self._questions[request]
            question.reply.give(event.value, event.error)
        return True

    def repeated(self, request: Request, event: events.Answered, now: float) -> None:
        """The answer to a request that must be done, though nobody waits for it."""
        if isinstance(event.error, UnavailableError) and not self._ends.is_over:
            self.ask_again(request, now + _PAUSES_S[-1])
        elif event.error is not None:
            _log.debug("%s failed: %s", type(request).__name__, event.error)

    # -- silence -------------------------------------------------------------------------------

    def _unanswered(self, now: float) -> None:
        if self._silent_since is None:
            self._silent_since = now
            self.after(now + _SILENT_S, partial(self._tell_silence, now))
            self.after(now + self.patience_s, partial(self._lose_patience, now))

    def _lose_patience(self, since: float, now: float) -> None:
        if self._silent_since == since and not self._ends.is_over:
            self._out_of_patience(now - since)
            self.after(now + self.patience_s, partial(self._lose_patience, since))

    def _tell_silence(self, since: float, _: float) -> None:
        if self._silent_since == since and not self._ends.is_over:
            self.is_silence_told = True
            _log.warning("the control plane does not answer; what is pending waits for it")

    def heard(self, now: float) -> None:
        """Somebody is there."""
        if self._silent_since is not None:
            if self.is_silence_told:
                _log.warning(
                    "the control plane answers again, after %.0f s", now - self._silent_since
                )
                for number in list(self._repetitions):
                    self._repeat(number, now)
            self._silent_since, self.is_silence_told = None, False

    # -- end -----------------------------------------------------------------------------------

    def give_up(self, error: BaseException) -> None:
        """Give all questions this error: there will be no answers."""
        for question in self._questions.values():
            question.reply.give(error=error)
        self._questions.clear()

    def forget(self) -> None:
        """Ask for nothing any more, neither now nor later."""
        self._timers.clear()
        self._repetitions.clear()
        self._requests.clear()


def pause(attempts: int) -> float:
    """Seconds before a request is repeated that nobody answered, after so many attempts."""
    return _PAUSES_S[min(attempts, len(_PAUSES_S) - 1)]
