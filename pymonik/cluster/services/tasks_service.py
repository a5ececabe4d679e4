# ruff: noqa: N802, D102, ARG002  (names and parameters are ArmoniK's)
"""The ``Tasks`` service."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from armonik.protogen.common import objects_pb2
from armonik.protogen.common import tasks_common_pb2 as pb

from pymonik.cluster.messages import (
    requested_options,
    task_creation,
    task_detailed,
    task_info,
    task_summary,
)
from pymonik.cluster.services.answering import answering
from pymonik.cluster.services.direct import DirectContext
from pymonik.cluster.services.fields import TASKS
from pymonik.cluster.services.filters import Query
from pymonik.cluster.services.lists import ListRequest
from pymonik.cluster.state.faults import BrokenRule, ValidationFailed
from pymonik.wire.embedded import KEEPS_PAYLOADS

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymonik.cluster.control_plane import ControlPlane
    from pymonik.cluster.state.rows import Task


class TasksService:
    """Tasks: submit, cancel, look at."""

    def __init__(self, control_plane: ControlPlane) -> None:
        self._control_plane = control_plane

    @answering
    def SubmitTasks(self, request: Any, context: Any) -> Any:
        if not request.task_creations:
            message = "'TaskCreations' must not be empty."
            raise ValidationFailed([BrokenRule("TaskCreations", message, [])])
        is_direct = isinstance(context, DirectContext)
        tasks = self._control_plane.submit(
            request.session_id,
            requested_options(request, "task_options"),
            [task_creation(one) for one in request.task_creations],
            payloads=context.payloads if is_direct else (),
            outputs=context.outputs if is_direct else (),
            own_payloads=is_direct and KEEPS_PAYLOADS not in context.invocation_metadata(),
        )
        return pb.SubmitTasksResponse(task_infos=[task_info(task) for task in tasks])

    @answering
    def GetTask(self, request: Any, context: Any) -> Any:
        with self._control_plane.reading() as state:
            return pb.GetTaskResponse(task=task_detailed(state.task(request.task_id)))

    @answering
    def ListTasks(self, request: Any, context: Any) -> Any:
        return pb.ListTasksResponse(**self._listed(request, task_summary))

    @answering
    def ListTasksDetailed(self, request: Any, context: Any) -> Any:
        return pb.ListTasksDetailedResponse(**self._listed(request, task_detailed))

    @answering
    def GetResultIds(self, request: Any, context: Any) -> Any:
        with self._control_plane.reading() as state:
            tasks = state.known_tasks(dict.fromkeys(request.task_id))
        entry = pb.GetResultIdsResponse.MapTaskResult
        return pb.GetResultIdsResponse(
            task_results=[
                entry(task_id=task.task_id, result_ids=task.expected_output_ids) for task in tasks
            ]
        )

    @answering
    def CountTasksByStatus(self, request: Any, context: Any) -> Any:
        query = Query(TASKS, request.filters)
        with self._control_plane.reading() as state:
            counts = Counter(task.status for task in query.select(state.tasks, state.tasks_of))
        return pb.CountTasksByStatusResponse(
            status=[
                objects_pb2.StatusCount(status=int(status), count=count)
                for status, count in sorted(counts.items())
            ]
        )

    @answering
    def CancelTasks(self, request: Any, context: Any) -> Any:
        tasks = self._control_plane.cancel_tasks(tuple(request.task_ids), task_summary)
        return pb.CancelTasksResponse(tasks=tasks)

    def _listed(self, request: Any, view: Callable[[Task], Any]) -> dict[str, Any]:
        query = ListRequest(TASKS, request)
        with self._control_plane.reading() as state:
            rows, total = query.run(state.tasks, state.tasks_of)
            found = [view(task) for task in rows]
        return {
            "tasks": found,
            "page": request.page,
            "page_size": request.page_size,
            "total": total,
        }
