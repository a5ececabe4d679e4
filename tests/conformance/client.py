"""The control plane: stubs of all public services, and a collector of events.

Keeps out observations and assertions, see ``trial.py``.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from armonik.common.channel import create_channel
from armonik.protogen.client.applications_service_pb2_grpc import ApplicationsStub
from armonik.protogen.client.auth_service_pb2_grpc import AuthenticationStub
from armonik.protogen.client.events_service_pb2_grpc import EventsStub
from armonik.protogen.client.health_checks_service_pb2_grpc import HealthChecksServiceStub
from armonik.protogen.client.partitions_service_pb2_grpc import PartitionsStub
from armonik.protogen.client.results_service_pb2_grpc import ResultsStub
from armonik.protogen.client.sessions_service_pb2_grpc import SessionsStub
from armonik.protogen.client.submitter_service_pb2_grpc import SubmitterStub
from armonik.protogen.client.tasks_service_pb2_grpc import TasksStub
from armonik.protogen.client.versions_service_pb2_grpc import VersionsStub
from armonik.protogen.common.events_common_pb2 import (
    EventsEnum,
    EventSubscriptionRequest,
    EventSubscriptionResponse,
)
from armonik.protogen.common.objects_pb2 import Empty

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from google.protobuf.message import Message

FINAL_TASK_STATUSES = frozenset({"COMPLETED", "ERROR", "TIMEOUT", "CANCELLED", "RETRIED"})
STREAM_LIFETIME_S = 600.0


class _Deadline(grpc.UnaryUnaryClientInterceptor, grpc.StreamUnaryClientInterceptor):
    """Gives a deadline to the calls that have none, so that no scenario can hang."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s

    def _bounded(self, details: Any) -> Any:
        return details._replace(timeout=details.timeout or self._timeout_s)

    def intercept_unary_unary(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        return continuation(self._bounded(client_call_details), request)

    def intercept_stream_unary(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ) -> Any:
        return continuation(self._bounded(client_call_details), request_iterator)


class Cluster:
    """Stubs of the public services of one endpoint (``http://host:port`` or ``unix:///path``)."""

    def __init__(self, endpoint: str, timeout_s: float) -> None:
        options: list[tuple[str, Any]] = [
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
        ]
        if endpoint.startswith("unix:"):
            options.append(("grpc.default_authority", "localhost"))
        self.channel = create_channel(endpoint, options=options)
        channel = grpc.intercept_channel(self.channel, _Deadline(timeout_s))
        self.applications = ApplicationsStub(channel)
        self.auth = AuthenticationStub(channel)
        self.events = EventsStub(channel)
        self.health = HealthChecksServiceStub(channel)
        self.partitions = PartitionsStub(channel)
        self.results = ResultsStub(channel)
        self.sessions = SessionsStub(channel)
        self.submitter = SubmitterStub(channel)
        self.tasks = TasksStub(channel)
        self.versions = VersionsStub(channel)
        self._errors = threading.Lock()

    def outcome(self, call: Callable[..., object], *arguments: object) -> tuple[str, str]:
        """Code and details of a call which may fail.

        The control plane stops itself when too many errors were not made up for by successes, so
        errors are provoked one at a time and followed by calls that succeed.
        """
        with self._errors:
            try:
                call(*arguments)
            except grpc.RpcError as error:
                found = error.code().name, error.details() or ""
            else:
                found = "OK", ""
            for _ in range(2):
                self.results.GetServiceConfiguration(Empty())
        return found

    def close(self) -> None:
        """Close the channel."""
        self.channel.close()


def status(message: Any) -> str:
    """Short name of the status of a session, task, result or event: ``RUNNING``, ``COMPLETED``."""
    number = message.status
    value = message.DESCRIPTOR.fields_by_name["status"].enum_type.values_by_number.get(number)
    return value.name.partition("_STATUS_")[2] if value else f"unknown status {number}"


@dataclass(frozen=True)
class Event:
    """One event: its kind (``new_task``...), the task or result it is about, and what it says."""

    kind: str
    subject: str
    state: str
    message: Any

    @classmethod
    def received(cls, response: EventSubscriptionResponse) -> Event:
        """Event of a message of the stream."""
        kind = response.WhichOneof("update") or "nothing"
        message = getattr(response, kind, response)
        subject = getattr(message, "task_id", "") or getattr(message, "result_id", "")
        if kind == "result_owner_update":
            state = message.current_owner_id
        elif kind == "nothing":
            state = ""
        else:
            state = status(message)
        return cls(kind, subject, state, message)


class EventStream:
    """Collects in a thread the events of one ``GetEvents`` call; ends with its ``with`` block."""

    def __init__(
        self,
        cluster: Cluster,
        session_id: str,
        *,
        types: Sequence[str] = (),
        tasks: Message | None = None,
        results: Message | None = None,
    ) -> None:
        request = EventSubscriptionRequest(
            session_id=session_id,
            tasks_filters=tasks,
            results_filters=results,
            returned_events=[EventsEnum.Value(f"EVENTS_ENUM_{name}") for name in types],
        )
        self._call = cluster.events.GetEvents(request, timeout=STREAM_LIFETIME_S)
        self._changed = threading.Condition()
        self._events: list[Event] = []
        self._end: str | None = None
        self._thread = threading.Thread(target=self._collect, name="events", daemon=True)

    def __enter__(self) -> EventStream:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._call.cancel()
        self._thread.join(timeout=10)

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)

    @property
    def events(self) -> list[Event]:
        """What was received so far."""
        with self._changed:
            return list(self._events)

    @property
    def end(self) -> str | None:
        """How the stream ended: ``OK`` or a code with details; ``None`` while it is open."""
        with self._changed:
            return self._end

    def wait(self, done: Callable[[list[Event]], bool], timeout_s: float) -> bool:
        """Wait until ``done`` holds for the events received; ``False`` if it never did in time."""
        with self._changed:
            return self._changed.wait_for(lambda: done(self._events), timeout_s)

    def settle(self, quiet_s: float = 0.5, timeout_s: float = 5.0) -> list[Event]:
        """Events received once nothing new has come for ``quiet_s`` seconds."""
        deadline = time.monotonic() + timeout_s
        seen = -1
        while seen != len(self.events) and time.monotonic() < deadline:
            seen = len(self.events)
            time.sleep(quiet_s)
        return self.events

    def _collect(self) -> None:
        try:
            for response in self._call:
                self._add(Event.received(response))
            end = "OK"
        except grpc.RpcError as error:
            end = f"{error.code().name} {error.details()}"
        with self._changed:
            self._end = end
            self._changed.notify_all()

    def _add(self, event: Event) -> None:
        with self._changed:
            self._events.append(event)
            self._changed.notify_all()
