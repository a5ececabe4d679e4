"""Listening: ends of results, from the news of the stream, and from lists where these miss some."""

from __future__ import annotations

import logging
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from pymonik.session import events
from pymonik.session.asking import pause
from pymonik.session.tasks import OutgoingTask
from pymonik.wire.call import WHOLE
from pymonik.wire.embedded import ABORTED, COMPLETED, DELETED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pymonik.session.asking import Asking
    from pymonik.session.ends import Ends
    from pymonik.session.forgetting import Hold
    from pymonik.session.pending import Pending
    from pymonik.session.sending import Sending
    from pymonik.session.tasks import Awaited
    from pymonik.session.values import Values
    from pymonik.wire.embedded import Ended

_log = logging.getLogger(__name__)

# A look is a list request about pending results. Seconds before each of the first ones while no
# stream is up.
_EARLY_LOOKS_S = (0.1, 0.5, 2.0, 5.0)
_SLOW_LOOK_S = 20.0  # seconds between looks while the stream is up: an event can be lost after all
# Results of such a look. It also finds out whether the control plane is there: a stream over a
# connection that is half open is as silent as one without news.
_SIGN_OF_LIFE = 100
_MOST_LOOKED = 2000  # results of any other look
# Where results are polled: seconds before the first look, and the factor by which the time grows
# while nothing has ended. It starts again with every result that has.
_FIRST_POLL_S = 0.02
_POLL_GROWTH = 1.5
# Longest time between looks for why a result was aborted: its event may come before the row of its
# task says so.
_LATE_ROW_S = 0.5
# Seconds that a stream has to last to prove that somebody is there: a proxy may accept it and then
# end it.
_STEADY_S = 1.0


class Listening:
    """Learns how results end. News come twice, in any order, or never: a list is the truth.

    Args:
        asking: Makes the requests.
        ends: Of the session.
        pending: The results under way.
        sending: Tasks that are leaving: news of them may be missed too.
        values: Gets the results that have to be opened.
        polling_s: Longest time between looks, where no stream tells of results.
        hold: Gives what keeps the data of a result, where data that nobody holds are deleted.
    """

    def __init__(
        self,
        asking: Asking,
        ends: Ends,
        pending: Pending,
        sending: Sending,
        values: Values,
        *,
        polling_s: float | None,
        hold: Callable[[str], Hold] | None,
    ) -> None:
        self._asking = asking
        self._ends = ends
        self._pending = pending
        self._sending = sending
        self._values = values
        self._polling_s = polling_s
        self._hold = hold
        self._streams = 0  # number of streams that were up so far
        self._stream_losses = 0  # since one lasted
        self._look: events.Look | None = None  # under way
        self._looks = 0  # since there is no stream
        self._look_failures = 0
        self._poll_s = _FIRST_POLL_S

    def start(self) -> None:
        """Ask for the news, where there is a stream."""
        if self._polling_s is None:
            self._asking.ask(events.Subscribe())

    def next_at(self) -> float | None:
        """When the next list is due."""
        return self._pending.look_at if self._look is None else None

    # -- news ----------------------------------------------------------------------------------

    def news(self, ended: Sequence[Ended], now: float) -> None:
        """Results have ended."""
        pending = self._pending
        results = pending.results
        for one in ended:
            # Events come twice, and tell of results of other programs in the same session.
            if one.result_id not in results:
                continue
            if one.status == COMPLETED:
                self._completed(one.result_id, one.data, now)
            elif one.status in (ABORTED, DELETED):
                pending.aborted[one.result_id] = None
                pending.look_by(now)

    def _completed(self, result_id: str, data: bytes | None, now: float) -> None:
        awaited = self._pending.take(result_id)
        if awaited is None:
            return
        # Data that come with the news are small: to delete them would cost more than they take, so
        # nothing holds them.
        holds: tuple[Hold, ...] = ()
        if data is None and self._hold is not None and awaited.is_ours:
            holds = (self._hold(result_id),)
        items = False
        for state in awaited.states:
            state.holds += holds
            if state.item == WHOLE:
                state.news = data
                if data is None:
                    self._values.completed(state, result_id)
                state.complete()
            else:
                items = True
        if items or (isinstance(awaited, OutgoingTask) and awaited.wants_seconds):
            self._values.open(awaited, data, now)
        else:
            awaited.leave_series()

    def stream_up(self, _: events.StreamUp, now: float) -> None:
        """Every end from now on is told."""
        self._pending.is_stream_up = True
        self._streams += 1
        self._asking.after(now + _STEADY_S, partial(self._stream_lasts, self._streams))
        self._miss_news()
        if self._pending.unseen:
            self._pending.look_by(now)

    def _stream_lasts(self, stream: int, now: float) -> None:
        """A stream that is up proves nothing at once: what refuses it may open it before."""
        if self._pending.is_stream_up and stream == self._streams:
            self._stream_losses = 0
            self._asking.heard(now)

    def stream_lost(self, event: events.StreamLost, now: float) -> None:
        """Nothing is told until there is another stream."""
        _log.debug("the event stream ended: %s", event.error)
        self._pending.is_stream_up = False
        if self._ends.is_over:
            return
        if event.is_refused:
            _log.warning("no event stream (%s); results are polled", event.error)
            self._polling_s = self._polling_s or 0.5
        else:
            self._asking.ask_again(events.Subscribe(), now + pause(self._stream_losses))
            self._stream_losses += 1
        self._looks = 0
        self._miss_news()
        if self._pending.results:
            self._pending.look_by(now)

    def _miss_news(self) -> None:
        self._pending.miss_news()
        self._sending.miss_news()

    # -- lists ---------------------------------------------------------------------------------

    def look_if_due(self, now: float) -> None:
        """Ask for a list, if there is something that it may tell."""
        pending = self._pending
        if pending.has_new:
            pending.has_new = False
            pending.look_by(now + self._early_look_s())
        if self._look is not None:
            return
        if pending.results and pending.look_at is None:
            pending.look_by(now + self._early_look_s())
        if pending.look_at is None or now < pending.look_at:
            return
        pending.look_at = None
        if ids := self._to_look_at():
            self._looks += 1
            self._look = events.Look(ids)
            self._asking.ask(self._look)

    def _early_look_s(self) -> float:
        if self._polling_s is not None:
            self._poll_s = _FIRST_POLL_S
            return self._poll_s
        if self._pending.is_stream_up:
            return _SLOW_LOOK_S
        return _EARLY_LOOKS_S[min(self._looks, len(_EARLY_LOOKS_S) - 1)]

    def _to_look_at(self) -> list[str]:
        """The results with news, and those whose news may have been missed."""
        pending = self._pending
        if pending.aborted and pending.is_stream_up and not pending.unseen:
            return list(islice(pending.aborted, _MOST_LOOKED))
        if pending.unseen and pending.is_stream_up:
            ids = list(islice(pending.unseen, _MOST_LOOKED))
            for one in ids:  # the stream tells of whatever happens from now on
                del pending.unseen[one]
            return list(dict.fromkeys([*pending.aborted, *ids]))
        is_silent = pending.is_stream_up and self._polling_s is None
        return list(islice(pending.listed(), _SIGN_OF_LIFE if is_silent else _MOST_LOOKED))

    def looked(self, request: events.Look, event: events.Answered, now: float) -> None:
        """A list has come, or did not."""
        self._look = None
        pending = self._pending
        if event.error is not None:
            pending.unseen.update(dict.fromkeys(i for i in request.ids if i in pending.results))
            pending.look_by(now + pause(self._look_failures))
            self._look_failures += 1
            return
        self._look_failures = 0
        found: events.Looked = event.value
        for result_id in found.completed:
            self._completed(result_id, None, now)
        for result_id, error in found.failed.items():
            _learn_of_failure(pending.results.get(result_id), found.seconds.get(result_id))
            pending.fail(result_id, error)
        if pending.results:
            self._move_to_end(request.ids)
            pending.look_by(now + self._next_look_s(len(found.completed) + len(found.failed)))

    def _move_to_end(self, ids: Sequence[str]) -> None:
        """A look takes the first of many: the next one takes others."""
        results = self._pending.results
        if len(results) > _SIGN_OF_LIFE:
            for one in ids:
                if one in results:
                    results[one] = results.pop(one)

    def _next_look_s(self, ended: int) -> float:
        if self._pending.is_stream_up and self._pending.unseen:
            return 0.0
        if self._pending.is_stream_up and self._pending.aborted:
            self._poll_s = _FIRST_POLL_S if ended else min(self._poll_s * _POLL_GROWTH, _LATE_ROW_S)
            return self._poll_s
        if self._polling_s is not None:
            grown = _FIRST_POLL_S if ended else self._poll_s * _POLL_GROWTH
            self._poll_s = min(max(grown, _FIRST_POLL_S), self._polling_s)
            return self._poll_s
        return self._early_look_s()


def _learn_of_failure(awaited: Awaited | None, seconds: float | None) -> None:
    """A call that failed took its time too: a map whose calls fail need not stay at single tasks.

    A task of several whose process died says nothing of how long each of them takes.
    """
    if seconds is None or not isinstance(awaited, OutgoingTask) or awaited.chunked:
        return
    if awaited.series is not None:
        awaited.series.pace.learn(seconds, 1)
