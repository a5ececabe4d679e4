"""Rows to ArmoniK's messages, and requests to values.

Between the services, which know gRPC, and the state, which does not: what is said here of a row
must be what ArmoniK says of it, field by field.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from armonik.protogen.common import (
    events_common_pb2,
    objects_pb2,
    partitions_common_pb2,
    results_common_pb2,
    sessions_common_pb2,
    tasks_common_pb2,
)
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from pymonik.cluster.state.requested_options import RequestedOptions
from pymonik.cluster.state.rows import Change, Kind, Partition, Result, Session, Task
from pymonik.cluster.state.submission import TaskCreation
from pymonik.cluster.state.work import TaskOptions

TEXTS = (
    "partition_id",
    "application_name",
    "application_version",
    "application_namespace",
    "application_service",
    "engine_type",
)
_SECOND = 1_000_000_000  # in the nanoseconds of an instant


def timestamp(instant: int | None) -> Any:
    """An instant; ``None`` leaves the field unset."""
    if instant is None:
        return None
    return Timestamp(seconds=instant // _SECOND, nanos=instant % _SECOND)


def duration(span: timedelta | None) -> Any:
    """A duration; ``None`` leaves the field unset."""
    if span is None:
        return None
    message = Duration()
    message.FromTimedelta(span)
    return message


def options_message(options: TaskOptions) -> Any:
    """``TaskOptions`` of the API."""
    message = objects_pb2.TaskOptions(
        max_duration=duration(options.max_duration),
        max_retries=options.max_retries,
        priority=options.priority,
        **{name: getattr(options, name) for name in TEXTS},
    )
    # Given above, protobuf would call `update` by a new string, which the cache of methods keeps.
    message.options.update(options.options)
    return message


def requested_options(parent: Any, field: str) -> RequestedOptions | None:
    """The options in a field of a request; ``None`` if there are none."""
    if not parent.HasField(field):
        return None
    message = getattr(parent, field)
    limit = message.max_duration.ToMicroseconds() if message.HasField("max_duration") else None
    return RequestedOptions(
        max_duration=None if limit is None else timedelta(microseconds=limit),
        max_retries=message.max_retries,
        priority=message.priority,
        options=dict(message.options),
        **{name: getattr(message, name) for name in TEXTS},
    )


def default_options(message: Any) -> TaskOptions:
    """The validated options of a new session."""
    return TaskOptions(
        max_duration=timedelta(microseconds=message.max_duration.ToMicroseconds()),
        max_retries=message.max_retries,
        priority=message.priority,
        options=dict(message.options),
        **{name: getattr(message, name) for name in TEXTS},
    )


def task_creation(message: Any) -> TaskCreation:
    """One task of ``SubmitTasksRequest``."""
    return TaskCreation(
        message.payload_id,
        tuple(message.expected_output_keys),
        tuple(message.data_dependencies),
        requested_options(message, "task_options"),
    )


def task_info(task: Task) -> Any:
    """The answer about one submitted task."""
    return tasks_common_pb2.SubmitTasksResponse.TaskInfo(
        task_id=task.task_id,
        expected_output_ids=task.expected_output_ids,
        data_dependencies=task.data_dependencies,
        payload_id=task.payload_id,
    )


def session_raw(session: Session) -> Any:
    """``SessionRaw``."""
    return sessions_common_pb2.SessionRaw(
        session_id=session.session_id,
        status=int(session.status),
        client_submission=session.client_submission,
        worker_submission=session.worker_submission,
        partition_ids=session.partition_ids,
        options=options_message(session.options),
        created_at=timestamp(session.created_at),
        cancelled_at=timestamp(session.cancelled_at),
        closed_at=timestamp(session.closed_at),
        purged_at=timestamp(session.purged_at),
        deleted_at=timestamp(session.deleted_at),
        duration=duration(session.duration),
    )


def result_raw(result: Result) -> Any:
    """``ResultRaw``."""
    return results_common_pb2.ResultRaw(
        session_id=result.session_id,
        name=result.name,
        owner_task_id=result.owner_task_id,
        status=int(result.status),
        created_at=timestamp(result.created_at),
        completed_at=timestamp(result.completed_at),
        result_id=result.result_id,
        size=result.size,
        created_by=result.created_by,
        opaque_id=result.opaque_id.encode(),
        manual_deletion=result.manual_deletion,
    )


def task_detailed(task: Task) -> Any:
    """``TaskDetailed``."""
    return tasks_common_pb2.TaskDetailed(
        **_task_common(task),
        parent_task_ids=task.parent_task_ids,
        data_dependencies=task.data_dependencies,
        expected_output_ids=task.expected_output_ids,
        retry_of_ids=task.retry_of_ids,
        output=tasks_common_pb2.TaskDetailed.Output(success=task.success, error=task.error),
    )


def task_summary(task: Task) -> Any:
    """``TaskSummary``."""
    return tasks_common_pb2.TaskSummary(
        **_task_common(task),
        count_parent_task_ids=len(task.parent_task_ids),
        count_data_dependencies=len(task.data_dependencies),
        count_expected_output_ids=len(task.expected_output_ids),
        count_retry_of_ids=len(task.retry_of_ids),
        error=task.error,
    )


def _task_common(task: Task) -> dict[str, Any]:
    """What both views have. ArmoniK keeps received_to_end_duration but does not tell it."""
    return {
        "id": task.task_id,
        "session_id": task.session_id,
        "owner_pod_id": task.owner_pod_id,
        "pod_hostname": task.pod_hostname,
        "initial_task_id": task.initial_task_id,
        "status": int(task.status),
        "options": options_message(task.options),
        "created_at": timestamp(task.created_at),
        "submitted_at": timestamp(task.submitted_at),
        "received_at": timestamp(task.received_at),
        "acquired_at": timestamp(task.acquired_at),
        "fetched_at": timestamp(task.fetched_at),
        "started_at": timestamp(task.started_at),
        "processed_at": timestamp(task.processed_at),
        "ended_at": timestamp(task.ended_at),
        # When the pod was last known to live: ArmoniK sets it at the start and nowhere else.
        "pod_ttl": timestamp(task.started_at),
        "creation_to_end_duration": duration(task.creation_to_end),
        "processing_to_end_duration": duration(task.processing_to_end),
        "payload_id": task.payload_id,
        "created_by": task.created_by,
    }


def partition_raw(partition: Partition) -> Any:
    """``PartitionRaw``."""
    return partitions_common_pb2.PartitionRaw(
        id=partition.partition_id,
        parent_partition_ids=partition.parent_partition_ids,
        pod_reserved=partition.pod_reserved,
        pod_max=partition.pod_max,
        pod_configuration=partition.pod_configuration,
        preemption_percentage=partition.preemption_percentage,
        priority=partition.priority,
    )


def event(change: Change) -> Any:
    """``EventSubscriptionResponse``."""
    message = events_common_pb2.EventSubscriptionResponse
    name, fill = _EVENTS[change.kind]
    return message(session_id=change.row.session_id, **{name: fill(change.row, change.value)})


_UPDATES = events_common_pb2.EventSubscriptionResponse
_EVENTS: dict[Kind, tuple[str, Any]] = {
    Kind.NEW_TASK: (
        "new_task",
        lambda task, status: _UPDATES.NewTask(
            task_id=task.task_id,
            payload_id=task.payload_id,
            origin_task_id=task.initial_task_id,
            status=int(status),
            expected_output_keys=task.expected_output_ids,
            data_dependencies=task.data_dependencies,
            retry_of_ids=task.retry_of_ids,
            parent_task_ids=task.parent_task_ids,
        ),
    ),
    Kind.TASK_STATUS: (
        "task_status_update",
        lambda task, status: _UPDATES.TaskStatusUpdate(task_id=task.task_id, status=int(status)),
    ),
    Kind.NEW_RESULT: (
        "new_result",
        lambda result, value: _UPDATES.NewResult(
            result_id=result.result_id, owner_id=value[0], status=int(value[1])
        ),
    ),
    Kind.RESULT_STATUS: (
        "result_status_update",
        lambda result, status: _UPDATES.ResultStatusUpdate(
            result_id=result.result_id, status=int(status)
        ),
    ),
    Kind.RESULT_OWNER: (
        "result_owner_update",
        lambda result, owner: _UPDATES.ResultOwnerUpdate(
            result_id=result.result_id, current_owner_id=owner
        ),
    ),
}
