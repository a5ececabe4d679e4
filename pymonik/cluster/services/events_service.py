# ruff: noqa: N802  (names and parameters are ArmoniK's)
"""The ``Events`` service."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from pymonik.cluster.event_hub import Interest
from pymonik.cluster.messages import event
from pymonik.cluster.services.answering import streaming
from pymonik.cluster.services.fields import RESULTS, TASKS
from pymonik.cluster.services.filters import Query
from pymonik.cluster.state.faults import ResourceExhausted
from pymonik.cluster.state.rows import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymonik.cluster.control_plane import ControlPlane


# Each stream holds a thread of the server: requests must find some that are free.
MAX_STREAMS = 448


class EventsService:
    """Streams of the changes of a session."""

    def __init__(self, control_plane: ControlPlane) -> None:
        self._control_plane = control_plane
        self._places = threading.BoundedSemaphore(MAX_STREAMS)

    @streaming
    def GetEvents(self, request: Any, context: Any) -> Iterator[Any]:
        """The stream ends when the client leaves; a thread serves it until then."""
        if not self._places.acquire(blocking=False):
            raise ResourceExhausted("Too many streams of events")
        try:
            yield from self._events(request, context)
        finally:
            self._places.release()

    def _events(self, request: Any, context: Any) -> Iterator[Any]:
        kinds = {Kind(kind) for kind in request.returned_events if kind in set(Kind)}
        subscription = self._control_plane.subscribe(
            Interest(
                request.session_id,
                tasks=Query(TASKS, request.tasks_filters),
                results=Query(RESULTS, request.results_filters),
                kinds=frozenset(kinds or Kind),
            )
        )
        if not context.add_callback(subscription.cancel):
            subscription.cancel()  # the client has left already
        context.send_initial_metadata(())  # tells the client that it misses nothing from here on
        yield from map(event, subscription)
