"""ArmoniK's public API, but for the deprecated ``Submitter``: which service has which methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from armonik.protogen.client import (
    applications_service_pb2,
    auth_service_pb2,
    events_service_pb2,
    health_checks_service_pb2,
    partitions_service_pb2,
    results_service_pb2,
    sessions_service_pb2,
    tasks_service_pb2,
    versions_service_pb2,
)

from pymonik.cluster.services.deployment import (
    ApplicationsService,
    AuthenticationService,
    HealthService,
    PartitionsService,
    VersionsService,
)
from pymonik.cluster.services.events_service import EventsService
from pymonik.cluster.services.handlers import handlers_of
from pymonik.cluster.services.results_service import ResultsService, data_streams
from pymonik.cluster.services.sessions_service import SessionsService
from pymonik.cluster.services.tasks_service import TasksService

if TYPE_CHECKING:
    from pymonik.cluster.control_plane import ControlPlane


def add_services(control_plane: ControlPlane, server: Any) -> None:
    """Have a server, of gRPC or a `DirectServer`, serve ArmoniK's public API."""
    results = ResultsService(control_plane)
    server.add_generic_rpc_handlers(
        (
            data_streams(results),  # before the others, which have the same methods
            handlers_of(results, results_service_pb2),
            handlers_of(SessionsService(control_plane), sessions_service_pb2),
            handlers_of(TasksService(control_plane), tasks_service_pb2),
            handlers_of(EventsService(control_plane), events_service_pb2),
            handlers_of(PartitionsService(control_plane), partitions_service_pb2),
            handlers_of(ApplicationsService(control_plane), applications_service_pb2),
            handlers_of(AuthenticationService(), auth_service_pb2),
            handlers_of(VersionsService(), versions_service_pb2),
            handlers_of(HealthService(), health_checks_service_pb2),
        )
    )
