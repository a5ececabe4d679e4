"""Spans of a session's calls, where the program follows itself with OpenTelemetry.

A single call has a span, and a map has one for all of its calls: it begins with the submission and
ends with the last of them, so that it tells of calls too whose executor was killed and could not.
"""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from pymonik import tracing
from pymonik.errors import TaskCancelledError
from pymonik.session.callbacks import Callbacks
from pymonik.session.run import SingleCalls

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.trace import Span, Tracer

    from pymonik.session.protocol import Submission
    from pymonik.session.result import ResultState
    from pymonik.session.run import Run

_MOST_ERRORS: Final = 8  # of one span: a map may have thousands that are alike
_SETTLE_S: Final = 10.0  # that the end of a session waits for exporters


class CallSpans:
    """Those of one session; made for the first call of a program that is followed."""

    def __init__(self, session_id: str) -> None:
        self._session_id = session_id
        self._tracer: Tracer | None = None
        # Exporters may take their time, which the thread of the session must not.
        self._ending = Callbacks()
        self._lock = threading.RLock()  # a signal handler may submit while this very thread does
        self._of_maps: dict[Run, CallSpan] = {}  # whose calls have not all ended
        self._open: set[CallSpan] = set()

    def begin(self, submission: Submission) -> CallSpan | None:
        """The span of these calls, ``None`` where the program has configured no provider.

        A map that is drawn piece by piece has one span, as long as some of its calls run.
        """
        if self._tracer is None:
            provider = tracing.provider()
            if provider is None:
                return None
            self._tracer = provider.get_tracer(tracing.NAME)
        run = submission.run
        is_map = run is not None and not isinstance(run, SingleCalls)
        with self._lock:
            if is_map and run is not None and (known := self._of_maps.get(run)) is not None:
                known.count(len(submission.calls))
                return known
            span = CallSpan(self, self._start(self._tracer, submission, is_map=is_map))
            span.count(len(submission.calls))
            self._open.add(span)
            if is_map and run is not None:
                span.run = run
                self._of_maps[run] = span
        return span

    def _start(self, tracer: Tracer, submission: Submission, *, is_map: bool) -> Span:
        from opentelemetry.trace import SpanKind

        function, run = submission.function.name, submission.run
        attributes = {"pymonik.function": function, "armonik.session_id": self._session_id}
        label = submission.options.label or (run.label if run is not None else "")
        if label:
            attributes["pymonik.label"] = label
        name = f"map_invoke {function}" if is_map else f"invoke {function}"
        return tracer.start_span(name, kind=SpanKind.PRODUCER, attributes=attributes)

    def ended(self, span: CallSpan) -> None:
        """All calls of a span have ended; the thread of the session says so."""
        with self._lock:
            if span not in self._open or not span.is_over:
                return  # another piece of its map has come meanwhile
            self._forget(span)
        self._ending.put(partial(span.end, time.time_ns()))

    def _forget(self, span: CallSpan) -> None:
        self._open.discard(span)
        if span.run is not None:
            self._of_maps.pop(span.run, None)

    def settle(self) -> None:
        """End what is open, as calls that go on without this program, and wait for exporters."""
        with self._lock:
            for span in list(self._open):
                self._forget(span)
                self._ending.put(partial(span.end, time.time_ns()))
        told = threading.Event()
        self._ending.put(told.set)
        told.wait(_SETTLE_S)


class CallSpan:
    """A span that is told of the end of its calls; see `pymonik.session.result.Observer`.

    Attributes:
        run: The map that it is the span of.
    """

    def __init__(self, spans: CallSpans, span: Span) -> None:
        from opentelemetry.trace import set_span_in_context

        self._spans = spans
        self._span = span
        self._carrier = tracing.carrier(set_span_in_context(span))
        self._calls = self._ended = self._failed = self._cancelled = 0
        self._errors: list[BaseException] = []
        self.run: Run | None = None

    @property
    def is_over(self) -> bool:
        """Whether all calls that it was told of have ended."""
        return self._ended == self._calls

    def count(self, calls: int) -> None:
        """So many calls more belong to it. Called with the lock of its session's spans held."""
        self._calls += calls

    def on(self, submission: Submission) -> Submission:
        """The same calls, which carry the context of the span."""
        replace, carried = msgspec.structs.replace, self._carrier
        return submission.of([replace(call, trace=carried) for call in submission.calls])

    def follow(self, states: Sequence[ResultState]) -> None:
        """Hear of the end of these; no thread but the caller's knows of them."""
        for state in states:
            state.observers = (*state.observers, self)

    def ended(self, state: ResultState) -> None:
        """A call has ended."""
        error = state.error
        if isinstance(error, TaskCancelledError):
            self._cancelled += 1
        elif error is not None:
            self._failed += 1
            if len(self._errors) < _MOST_ERRORS:
                self._errors.append(error)
        self._ended += 1
        if self.is_over:
            self._spans.ended(self)

    def unanswered(self, error: BaseException) -> None:
        """Nobody is kept waiting by it."""

    def end(self, at_ns: int) -> None:
        """Tell what became of the calls, as of a moment."""
        for error in self._errors:
            tracing.record(self._span, error)
        counts = {
            "calls": self._calls,
            "failed": self._failed,
            "cancelled": self._cancelled,
            "pending": self._calls - self._ended,
        }
        shown = {f"pymonik.{name}": n for name, n in counts.items() if n or name == "calls"}
        self._span.set_attributes(shown)
        self._span.end(end_time=at_ns)
