"""Spans from a program and its tasks, as a collector of OpenTelemetry gets them over HTTP."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="not in this environment")

_FOLLOWED = """
    import os
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from pymonik import Pymonik, command, task

    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    study = trace.get_tracer("study")
"""


class Span(NamedTuple):
    """What a test looks at of a span.

    Attributes:
        service: Of the process that made it.
        error: What its status says; ``None`` where that is none of an error.
        messages: Of the exceptions that it tells.
    """

    name: str
    span_id: bytes
    parent: bytes
    attributes: dict[str, Any]
    service: str
    error: str | None
    messages: list[str]


class Collector(ThreadingHTTPServer):
    """Takes what exporters send."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spans: list[Span] = []
        self.text = ""  # all that came


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
            ExportTraceServiceRequest,
        )

        data = self.rfile.read(int(self.headers["Content-Length"]))
        request = ExportTraceServiceRequest.FromString(data)
        assert isinstance(self.server, Collector)
        self.server.text += str(request)
        for resource in request.resource_spans:
            service = _attributes(resource.resource.attributes)["service.name"]
            for scope in resource.scope_spans:
                self.server.spans += [_span(one, service) for one in scope.spans]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def _attributes(pairs: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in pairs}


def _span(span: Any, service: str) -> Span:
    messages = [_attributes(event.attributes)["exception.message"] for event in span.events]
    error = span.status.message if span.status.code == 2 else None
    attributes = _attributes(span.attributes)
    return Span(span.name, span.span_id, span.parent_span_id, attributes, service, error, messages)


class Programs:
    """Runs programs whose spans, and those of their workers, go to a collector."""

    def __init__(self, folder: Path, collector: Collector) -> None:
        self.folder = folder
        self.collector = collector

    def run(self, text: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a program with these variables over the usual ones."""
        (self.folder / "program.py").write_text(textwrap.dedent(text))
        host, port = self.collector.server_address[:2]
        given = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{host!s}:{port}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            **variables,
        }
        done = subprocess.run(
            [sys.executable, "program.py"],
            cwd=self.folder,
            env={**os.environ, **given},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done

    def spans(self, name: str) -> list[Span]:
        """Those of this name."""
        return [one for one in self.collector.spans if one.name == name]

    def paths(self) -> list[str]:
        """Each span behind its parents: ``study/invoke add/run add``."""
        spans = {one.span_id: one for one in self.collector.spans}

        def path(span: Span) -> str:
            return (f"{path(spans[span.parent])}/" if span.parent else "") + span.name

        return sorted(map(path, spans.values()))


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        thread = threading.Thread(target=collector.serve_forever, daemon=True)
        thread.start()
        yield collector
        collector.shutdown()
        thread.join()


@pytest.fixture
def programs(tmp_path: Path, collector: Collector) -> Programs:
    return Programs(tmp_path, collector)


def test_spans_nest_from_the_program_over_calls_and_maps_to_subtasks(programs: Programs) -> None:
    programs.run(
        _FOLLOWED
        + """
    @task
    def add(a, b):
        return a + b

    @task
    def outer(n):
        with trace.get_tracer("inside").start_as_current_span("stage"):
            return add.invoke(n, 1)

    with Pymonik(), study.start_as_current_span("study"):
        assert add.invoke(1, 2).get() == 3
        assert add.map_invoke([(1, 1), (2, 2), (3, 3)]).get() == [2, 4, 6]
        assert outer.invoke(4).get() == 5
    """
    )
    assert programs.paths() == [
        "study",
        "study/invoke add",
        "study/invoke add/run add",
        "study/invoke outer",
        "study/invoke outer/run outer",
        "study/invoke outer/run outer/stage",
        "study/invoke outer/run outer/stage/run add",
        *["study/map_invoke add", *["study/map_invoke add/run add"] * 3],
    ]


def test_spans_say_what_ran_where_and_no_values(programs: Programs) -> None:
    programs.run(
        _FOLLOWED
        + """
    @task
    def add(a, b):
        return a + b

    with Pymonik() as client:
        add.map_invoke([("sesame-1", "x"), ("sesame-2", "y")], label="doors").get()
        open("session", "w").write(client.session_id)
    """
    )
    session = (programs.folder / "session").read_text()
    (of_map,) = programs.spans("map_invoke add")
    assert of_map.attributes == {
        "pymonik.function": "add",
        "pymonik.label": "doors",
        "pymonik.calls": 2,
        "armonik.session_id": session,
    }
    runs = programs.spans("run add")
    assert sorted(one.attributes["pymonik.index"] for one in runs) == [0, 1]
    for one in runs:
        said = one.attributes
        assert said["armonik.session_id"] == session
        assert said["pymonik.label"] == "doors"
        assert said["pymonik.attempt"] == 1
        assert said["armonik.task_id"]
        assert said["process.pid"]
        assert one.service == "pymonik-worker"
    assert "sesame" not in programs.collector.text


def test_errors_are_told_on_both_sides(programs: Programs) -> None:
    programs.run(
        _FOLLOWED
        + """
    @task
    def check(n):
        if n == 2:
            raise ValueError("two")
        return n

    @task(max_retries=0)
    def killed():
        os._exit(3)

    with Pymonik():
        check.map_invoke(range(4)).get(return_exceptions=True)
        killed.invoke().exception()
    """
    )
    (of_map,) = programs.spans("map_invoke check")
    assert of_map.attributes["pymonik.failed"] == 1
    assert (of_map.error, of_map.messages) == ("ValueError", ["two"])
    told = {one.attributes["pymonik.index"]: one for one in programs.spans("run check")}
    assert [told[n].error for n in range(4)] == [None, None, "ValueError", None]
    assert told[2].messages == ["two"]
    # The executor could tell nothing any more.
    (of_killed,) = programs.spans("invoke killed")
    assert of_killed.error == "WorkerLostError"
    assert not programs.spans("run killed")


def test_calls_that_run_at_the_same_time_each_have_their_own_parent(programs: Programs) -> None:
    programs.run(
        _FOLLOWED
        + """
    import asyncio

    @task(concurrency=3)
    async def wait(n):
        await asyncio.sleep(0.01)
        with trace.get_tracer("inside").start_as_current_span(f"inside {n}"):
            return n

    with Pymonik():
        handles = []
        for n in range(3):
            with study.start_as_current_span(f"study {n}"):
                handles.append(wait.invoke(n))
        assert [handle.get() for handle in handles] == [0, 1, 2]
    """
    )
    inside = [path for path in programs.paths() if "inside" in path]
    assert inside == [f"study {n}/invoke wait/run wait/inside {n}" for n in range(3)]


def test_a_map_that_is_drawn_in_pieces_is_one_span(programs: Programs) -> None:
    programs.run(
        _FOLLOWED
        + """
    @task
    def double(n):
        return 2 * n

    with Pymonik():
        values = double.map_invoke(iter(range(5000)), chunk_size=500).get()
        assert values == list(range(0, 10000, 2))
    """
    )
    (of_map,) = programs.spans("map_invoke double")
    assert of_map.attributes["pymonik.calls"] == 5000
    indexes = sorted(one.attributes["pymonik.index"] for one in programs.spans("run double"))
    assert indexes == list(range(5000))


def test_a_command_that_fails_is_an_error_of_its_span(programs: Programs) -> None:
    programs.run(
        _FOLLOWED
        + """
    with Pymonik():
        command(["sh", "-c", "exit 3"], name="ends").invoke().exception()
    """
    )
    (run,) = programs.spans("run ends")
    assert run.error == "CommandError"


def test_subtasks_stay_in_the_trace_where_workers_make_no_spans(programs: Programs) -> None:
    # The inner task sets a provider itself: only then is there a span, whose parent has come
    # through a task that knows nothing of spans.
    programs.run(
        _FOLLOWED
        + """
    traces = os.environ.pop("OTEL_EXPORTER_OTLP_ENDPOINT") + "/v1/traces"

    def prepare():
        again = TracerProvider()
        again.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=traces)))
        trace.set_tracer_provider(again)

    @task(setup=prepare)
    def inner(n):
        return n

    @task
    def outer(n):
        return inner.invoke(n)

    with Pymonik():
        assert outer.invoke(4).get() == 4
    """,
        OTEL_TRACES_EXPORTER="none",
    )
    assert programs.paths() == ["invoke outer", "invoke outer/run inner"]


def test_calls_run_where_there_is_no_such_exporter(programs: Programs) -> None:
    done = programs.run(
        _FOLLOWED
        + """
    @task
    def inc(n):
        return n + 1

    with Pymonik():
        assert inc.invoke(1).get() == 2
    """,
        OTEL_TRACES_EXPORTER="nowhere",
    )
    assert programs.paths() == ["invoke inc"]
    assert "no spans from this executor" in done.stderr
    assert "nowhere" in done.stderr


def test_a_program_that_configures_nothing_imports_nothing(programs: Programs) -> None:
    programs.run(
        """
    import sys
    from pymonik import Pymonik, task

    @task
    def modules():
        return "opentelemetry" in sys.modules

    with Pymonik():
        assert not modules.invoke().get()
    assert "opentelemetry" not in sys.modules
    import opentelemetry.trace

    with Pymonik():
        assert not modules.invoke().get()
    """
    )
    assert not programs.collector.spans
