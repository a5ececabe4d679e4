"""What client and executors know of OpenTelemetry: the provider of the program, and the context.

::

    program     a span of the program's own
    client      └── "invoke f", "map_invoke f"     from the call to the end of its calls
                      │  W3C context, in the payload
    executor          └── "run f"                 one for each call and attempt
                            ├── spans that the function makes
                            └── "run g"           subtasks

Nothing here imports OpenTelemetry: a program without it pays for a look into ``sys.modules``.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, TracerProvider

API: Final = "opentelemetry.trace"  # the module whose provider a program sets
NAME: Final = "pymonik"  # of our tracer

Carrier = dict[str, str]  # as propagators of OpenTelemetry fill it: `traceparent` and others


def provider() -> TracerProvider | None:
    """The one that this process has set; ``None`` where it has imported no API, or set none."""
    # Another thread may just import the module: it has then not got as far as its functions.
    api: Any = sys.modules.get(API)
    if (current := getattr(api, "get_tracer_provider", None)) is None:
        return None
    found = current()
    is_none = isinstance(found, (api.ProxyTracerProvider, api.NoOpTracerProvider))
    return None if is_none else found


def carrier(context: Context | None = None) -> Carrier:
    """A context as it travels; by default the current one. Empty where it has no span."""
    from opentelemetry import propagate

    carried: Carrier = {}
    propagate.inject(carried, context)
    return carried


def record(span: Span, error: BaseException) -> None:
    """Have a span tell of an error that ended a call."""
    from opentelemetry.trace import Status, StatusCode

    kind = type(error).__name__
    try:
        span.record_exception(error)
    except Exception:  # noqa: BLE001 - its text is made by code of the user, which may raise
        span.add_event("exception", {"exception.type": kind})
    span.set_status(Status(StatusCode.ERROR, kind))
