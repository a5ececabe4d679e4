# ruff: noqa: N802, D102, ARG002  (names and parameters are ArmoniK's)
"""What the cluster is made of: partitions, applications, versions, health, and who asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from armonik.protogen.common import (
    applications_common_pb2,
    auth_common_pb2,
    health_checks_common_pb2,
    partitions_common_pb2,
    versions_common_pb2,
)

from pymonik import __version__
from pymonik.cluster.messages import partition_raw
from pymonik.cluster.services.answering import answering
from pymonik.cluster.services.fields import APPLICATIONS, PARTITIONS, Application
from pymonik.cluster.services.lists import ListRequest

if TYPE_CHECKING:
    from pymonik.cluster.control_plane import ControlPlane

# ArmoniK's answer without authentication: all methods of all services, whether there are any.
PERMISSIONS = {
    "Sessions": "CancelSession CloseSession CreateSession DeleteSession GetSession ListSessions "
    "PauseSession PurgeSession ResumeSession StopSubmission",
    "Tasks": "CancelTasks CountTasksByStatus GetResultIds GetTask ListTasks ListTasksDetailed "
    "SubmitTasks",
    "Results": "CreateResults CreateResultsMetaData DeleteResultsData DownloadResultData "
    "GetOwnerTaskId GetResult GetServiceConfiguration ImportResultsData ListResults "
    "UploadResultData",
    "Applications": "ListApplications",
    "Events": "GetEvents",
    "Partitions": "GetPartition ListPartitions",
    "Versions": "ListVersions",
    "HealthChecks": "CheckHealth",
    "General": "Impersonate",
    "Submitter": "CancelSession CancelTasks CountTasks CreateLargeTasks CreateSession "
    "CreateSmallTasks GetResultStatus GetServiceConfiguration GetTaskStatus ListSessions "
    "ListTasks TryGetResultStream TryGetTaskOutput WaitForAvailability WaitForCompletion",
}


class PartitionsService:
    """The partitions of the cluster."""

    def __init__(self, control_plane: ControlPlane) -> None:
        self._control_plane = control_plane

    @answering
    def GetPartition(self, request: Any, context: Any) -> Any:
        with self._control_plane.reading() as state:
            partition = state.partition(request.id)
        return partitions_common_pb2.GetPartitionResponse(partition=partition_raw(partition))

    @answering
    def ListPartitions(self, request: Any, context: Any) -> Any:
        query = ListRequest(PARTITIONS, request)
        with self._control_plane.reading() as state:
            rows, total = query.run(state.partitions, {})
        return partitions_common_pb2.ListPartitionsResponse(
            partitions=[partition_raw(partition) for partition in rows],
            page=request.page,
            page_size=request.page_size,
            total=total,
        )


class ApplicationsService:
    """The applications that the tasks name."""

    def __init__(self, control_plane: ControlPlane) -> None:
        self._control_plane = control_plane

    @answering
    def ListApplications(self, request: Any, context: Any) -> Any:
        query = ListRequest(APPLICATIONS, request)
        with self._control_plane.reading() as state:
            # By identity: tasks of a session share their options, and to compare them takes longer.
            used = {id(task.options): task.options for task in state.tasks.values()}
        applications = {
            one: one
            for one in (
                Application(
                    options.application_name,
                    options.application_version,
                    options.application_namespace,
                    options.application_service,
                )
                for options in used.values()
            )
        }
        rows, total = query.run(applications, {})
        return applications_common_pb2.ListApplicationsResponse(
            applications=[applications_common_pb2.ApplicationRaw(**one._asdict()) for one in rows],
            page=request.page,
            page_size=request.page_size,
            total=total,
        )


class AuthenticationService:
    """Without authentication, everybody is anonymous and may do everything."""

    @answering
    def GetCurrentUser(self, request: Any, context: Any) -> Any:
        permissions = [
            f"{service}:{rpc}" for service, rpcs in PERMISSIONS.items() for rpc in rpcs.split()
        ]
        user = auth_common_pb2.User(username="Anonymous", permissions=permissions)
        return auth_common_pb2.GetCurrentUserResponse(user=user)


class VersionsService:
    """Versions: the core is ours, the API is that of the stubs."""

    @answering
    def ListVersions(self, request: Any, context: Any) -> Any:
        from importlib.metadata import version  # 20 modules, and few ask

        return versions_common_pb2.ListVersionsResponse(
            core=f"pymonik-{__version__}", api=version("armonik")
        )


class HealthService:
    """All parts live in this process: who answers is healthy."""

    @answering
    def CheckHealth(self, request: Any, context: Any) -> Any:
        return health_checks_common_pb2.CheckHealthResponse(
            services=[
                health_checks_common_pb2.CheckHealthResponse.ServiceHealth(
                    name=name, healthy=health_checks_common_pb2.HEALTH_STATUS_ENUM_HEALTHY
                )
                for name in ("database", "object", "queue")
            ]
        )
