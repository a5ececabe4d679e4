"""Where the spans of an executor go: to what code of the user has set, or OTEL_ variables name.

An executor may be killed as soon as its task has ended. So spans leave after each run, in a thread
of their own, and the parent is told that it has to wait a moment; see `Marks.is_sending`.
"""

from __future__ import annotations

import logging
import os
import threading
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

from pymonik import tracing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.trace import Span, TracerProvider

    from pymonik.executor.share import Share

_log = logging.getLogger(__name__)
_PAUSE_S: Final = 0.2  # between two exports: each takes milliseconds of the interpreter's time
_LEAVE_S: Final = 2.0  # that an executor which ends waits for an exporter
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_GROUP: Final = "opentelemetry_traces_exporter"  # in which packages of exporters name themselves


class SpanExports:
    """Sets up a provider where variables ask for one, and has spans leave; one for a process."""

    def __init__(self) -> None:
        self._is_refused = False  # there is no SDK, or no such exporter: said once
        self._share: Share | None = None
        self._lock = threading.Lock()  # guards what the parent is told
        self._wanted = threading.Event()
        self._is_idle = threading.Event()
        self._is_idle.set()
        self._thread: threading.Thread | None = None

    def provider(self, share: Share) -> TracerProvider | None:
        """The provider of this process, if it has one or its variables ask for one."""
        self._share = share
        found = tracing.provider()
        if found is not None or self._is_refused or not _is_asked_for():
            return found
        try:
            return _set_up()
        except Exception as error:  # noqa: BLE001 - of somebody's exporter; calls run all the same
            self._is_refused = True
            _log.warning("no spans from this executor: %s: %s", type(error).__name__, error)
            return None

    def end(self, span: Span) -> None:
        """End a span, and have it leave soon."""
        if not span.is_recording():
            return  # the sampler of the program does not want this trace
        span.end()
        with self._lock:
            self._is_idle.clear()
            self._tell(is_sending=True)
            self._wanted.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
                self._thread.start()

    def settle(self) -> None:
        """Wait until they have left, for a moment at most: the process is about to end."""
        self._is_idle.wait(_LEAVE_S)

    def _tell(self, *, is_sending: bool) -> None:
        if self._share is not None:
            self._share.sends(is_sending=is_sending)

    def _run(self) -> None:
        pause = threading.Event()  # never set
        while self._wanted.wait():
            self._wanted.clear()
            _flush()
            with self._lock:
                if not self._wanted.is_set():
                    self._tell(is_sending=False)
                    self._is_idle.set()
            pause.wait(_PAUSE_S)


def _flush() -> None:
    provider: Any = tracing.provider()
    try:
        # The API knows no such method: a provider of another kind sends when it likes to.
        getattr(provider, "force_flush", lambda: None)()
    except Exception:  # noqa: BLE001 - of somebody's exporter
        _log.exception("spans could not be sent")


def _is_asked_for() -> bool:
    variables = os.environ
    if variables.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    exporter = variables.get("OTEL_TRACES_EXPORTER", "")
    return exporter != "none" and bool(exporter or any(map(variables.get, _ENDPOINTS)))


def _set_up() -> TracerProvider:
    """A provider as the OTEL_ variables describe it; the SDK reads most of them itself."""
    from opentelemetry import trace
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    is_named = "OTEL_SERVICE_NAME" in os.environ or "service.name=" in os.environ.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )
    resource = Resource.create({} if is_named else {"service.name": "pymonik-worker"})
    provider = TracerProvider(resource=resource)
    for exporter in _exporters():
        provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return provider


def _exporters() -> Iterator[Any]:
    names = os.environ.get("OTEL_TRACES_EXPORTER") or "otlp"
    installed = {point.name: point for point in metadata.entry_points(group=_GROUP)}
    for name in names.split(","):
        found = [installed[one] for one in _choices(name.strip()) if one in installed]
        if not found:
            raise LookupError(f"no package here has the exporter {name!r} of OTEL_TRACES_EXPORTER")
        yield found[0].load()()


def _choices(name: str) -> list[str]:
    """The names under which an exporter may be installed, the best first.

    For OTLP there is a package for each protocol, and one that brings both.
    """
    if name != "otlp":
        return [name]
    protocol = next(filter(None, map(os.environ.get, _PROTOCOLS)), "")
    if protocol.startswith("http"):
        return ["otlp_proto_http"]
    return ["otlp_proto_grpc"] if protocol == "grpc" else ["otlp_proto_grpc", "otlp_proto_http"]


exports: Final = SpanExports()
