"""Spans of the calls of a task whose client follows them with OpenTelemetry."""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from pymonik import tracing
from pymonik.executor.call_inputs import ElsewhereError
from pymonik.executor.span_exports import exports
from pymonik.wire.call import index_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer
    from opentelemetry.util.types import AttributeValue

    from pymonik.executor.frames import Run
    from pymonik.executor.share import Share
    from pymonik.executor.subtasks import SubtaskSession
    from pymonik.wire.call import PayloadMeta


def of(run: Run, meta: PayloadMeta, share: Share) -> RunSpans | None:
    """Those of a task; ``None`` where this executor has nowhere to send them."""
    provider = exports.provider(share)
    if provider is None:
        return None
    return RunSpans(provider.get_tracer(tracing.NAME), run, meta)


class RunSpans:
    """Makes a span for each call of a task."""

    def __init__(self, tracer: Tracer, run: Run, meta: PayloadMeta) -> None:
        self._tracer = tracer
        self._run = run
        self._meta = meta
        self._carried: tracing.Carrier = {}
        self._above: Context | None = None  # what that says

    @contextmanager
    def call(self, place: int, session: SubtaskSession) -> Iterator[CallSpan]:
        """The span of a call, while it runs: it ends with it, and tells of its error.

        Args:
            place: Of the call in its task.
            session: Whose subtasks become children of the span.
        """
        from opentelemetry.trace import SpanKind

        above = self._context_of(place)
        span = self._tracer.start_span(
            f"run {self._meta.function.name}",
            context=above,
            kind=SpanKind.CONSUMER,
            attributes=self._attributes(place),
        )
        one = CallSpan(span, above)
        session.span = one.carrier
        try:
            yield one
        except ElsewhereError:
            raise  # it has not run, and runs elsewhere; a span that does not end is never exported
        except BaseException as error:
            tracing.record(span, error)
            exports.end(span)
            raise
        exports.end(span)

    def _context_of(self, place: int) -> Context:
        """The context that a call came with; all calls of a map have the same."""
        (carried,) = self._meta.traces_of([place])
        if carried is not self._carried or self._above is None:
            from opentelemetry import propagate

            self._carried, self._above = carried, propagate.extract(carried)
        return self._above

    def _attributes(self, place: int) -> Mapping[str, AttributeValue]:
        index = index_in(self._meta, place)
        return {**self._of_task, "pymonik.index": index} if index >= 0 else self._of_task

    @cached_property
    def _of_task(self) -> dict[str, AttributeValue]:
        """What is the same for all calls: names and numbers, never arguments."""
        attributes: dict[str, AttributeValue] = {
            "pymonik.function": self._meta.function.name,
            "pymonik.attempt": self._run.attempt + self._meta.earlier,
            "armonik.session_id": self._run.session_id,
            "armonik.task_id": self._run.task_id,
            "host.name": socket.gethostname(),
            "process.pid": os.getpid(),
        }
        if self._meta.run:
            attributes["pymonik.label"] = self._meta.run
        if self._run.options.partition_id:
            attributes["armonik.partition_id"] = self._run.options.partition_id
        return attributes


class CallSpan:
    """The span of a call that runs."""

    def __init__(self, span: Span, above: Context) -> None:
        from opentelemetry.trace import set_span_in_context

        self._span = span
        # What came with the call besides, as baggage, is there for its function too.
        self._context = set_span_in_context(span, above)

    def carrier(self) -> tracing.Carrier:
        """For subtasks; a span that the function has made inside is nearer than its own."""
        return tracing.carrier() or tracing.carrier(self._context)

    def enter(self) -> None:
        """Make it the current one of the context in which the function is called."""
        from opentelemetry.context import attach

        attach(self._context)  # that context is the call's own, and gone with it

    def failed(self, kind: str) -> None:
        """The call failed without raising anything here: a command says so in its value."""
        from opentelemetry.trace import Status, StatusCode

        self._span.set_status(Status(StatusCode.ERROR, kind))
