"""Our values as messages of ArmoniK's API, and back.

For the requests of a session. Lists for people, which have more fields and filters, are in
`listing`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from armonik.protogen.common import (
    events_common_pb2,
    filters_common_pb2,
    objects_pb2,
    results_common_pb2,
    results_fields_pb2,
    results_filters_pb2,
    sort_direction_pb2,
    task_status_pb2,
    tasks_common_pb2,
    tasks_fields_pb2,
    tasks_filters_pb2,
)
from google.protobuf.duration_pb2 import Duration

from pymonik.options import (
    DEFAULT_MAX_DURATION,
    DEFAULT_MAX_RETRIES,
    DEFAULT_PRIORITY,
    TaskOptions,
)
from pymonik.wire.live import LIVE_PREFIXES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

DEFAULTS = TaskOptions(
    max_duration=DEFAULT_MAX_DURATION, max_retries=DEFAULT_MAX_RETRIES, priority=DEFAULT_PRIORITY
)
TEXTS = (
    "partition_id",
    "application_name",
    "application_version",
    "application_namespace",
    "application_service",
    "engine_type",
)

# Statuses of a task that a worker has, or may have until it hears of the cancellation.
HELD: frozenset[int] = frozenset(
    {
        task_status_pb2.TASK_STATUS_DISPATCHED,
        task_status_pb2.TASK_STATUS_PROCESSING,
        task_status_pb2.TASK_STATUS_PROCESSED,
        task_status_pb2.TASK_STATUS_CANCELLING,
    }
)


class ResultInfo(msgspec.Struct, frozen=True):
    """What the control plane knows of a result."""

    result_id: str
    status: int
    owner_task_id: str
    opaque_id: str
    size: int


class TaskInfo(msgspec.Struct, frozen=True):
    """What the control plane knows of a task.

    Attributes:
        status: As in the API, without the prefix.
        limit_s: Its ``max_duration``; 0 where that is not known.
    """

    task_id: str
    status: str
    error: str
    limit_s: float = 0.0


_OPTIONS_BYTES = 300  # about what a task's own options take in a request


class NewTask(msgspec.Struct, frozen=True):
    """A task to be submitted; its payload is a result, or data that go with it.

    Attributes:
        name: Of the output, where that is created together with the task.
        options: Its own, complete, where they differ from those of the request.
    """

    payload: str | bytes
    output_id: str
    dependencies: Sequence[str]
    name: str = ""
    options: TaskOptions | None = None

    @property
    def nbytes(self) -> int:
        """About its size in a request."""
        own = 0 if self.options is None else _OPTIONS_BYTES
        return 160 + own + 40 * len(self.dependencies) + len(self.payload)


def session_options(options: TaskOptions) -> Any:
    """For CreateSession, which takes no fewer than one retry."""
    message = task_options(options)
    message.max_retries = max(1, message.max_retries)
    return message


def task_options(options: TaskOptions) -> Any:
    """For SubmitTasks; complete, since a priority left out would be sent as zero."""
    full = options.over(DEFAULTS)
    assert full.max_duration is not None
    duration = Duration()
    duration.FromTimedelta(full.max_duration)
    message = objects_pb2.TaskOptions(
        options=dict(full.options),
        max_duration=duration,
        # In the API zero means "inherit", and a negative number means none.
        max_retries=full.max_retries or -1,
        priority=full.priority,
    )
    for name in TEXTS:
        if (value := getattr(full, name)) is not None:
            setattr(message, name, value)
    return message


def task_creation(task: NewTask, options: Any) -> Any:
    """One task of SubmitTasks, with options of its own as a message, if it has some."""
    return tasks_common_pb2.SubmitTasksRequest.TaskCreation(
        expected_output_keys=[task.output_id],
        data_dependencies=task.dependencies,
        payload_id=task.payload if isinstance(task.payload, str) else "",
        task_options=options,
    )


def result_info(raw: Any) -> ResultInfo:
    """From a ``ResultRaw``."""
    opaque_id = raw.opaque_id.decode("utf-8", "replace")
    return ResultInfo(raw.result_id, raw.status, raw.owner_task_id, opaque_id, raw.size)


def task_info(raw: Any) -> TaskInfo:
    """From a ``TaskSummary``."""
    name = task_status_pb2.TaskStatus.Name(raw.status).removeprefix("TASK_STATUS_")
    limit_s = raw.options.max_duration.ToTimedelta().total_seconds() if name == "TIMEOUT" else 0.0
    return TaskInfo(raw.id, name, raw.error, limit_s)


def results_by_id(ids: Sequence[str], page: int) -> Any:
    """A ListResults request for these results."""
    field = results_fields_pb2.ResultField(
        result_raw_field=results_fields_pb2.ResultRawField(
            field=results_fields_pb2.RESULT_RAW_ENUM_FIELD_RESULT_ID
        )
    )
    return results_common_pb2.ListResultsRequest(
        page=page,
        page_size=len(ids),
        filters=_any_of(results_filters_pb2, field, ids),
        sort=results_common_pb2.ListResultsRequest.Sort(
            field=field, direction=sort_direction_pb2.SORT_DIRECTION_ASC
        ),
    )


def tasks_of_session(session_id: str) -> Any:
    """A CountTasksByStatus request for the tasks of a session."""
    field = tasks_fields_pb2.TaskField(
        task_summary_field=tasks_fields_pb2.TaskSummaryField(
            field=tasks_fields_pb2.TASK_SUMMARY_ENUM_FIELD_SESSION_ID
        )
    )
    filters = _any_of(tasks_filters_pb2, field, [session_id])
    return tasks_common_pb2.CountTasksByStatusRequest(filters=filters)


def tasks_by_id(ids: Sequence[str], page: int) -> Any:
    """A ListTasks request for these tasks."""
    field = tasks_fields_pb2.TaskField(
        task_summary_field=tasks_fields_pb2.TaskSummaryField(
            field=tasks_fields_pb2.TASK_SUMMARY_ENUM_FIELD_TASK_ID
        )
    )
    return tasks_common_pb2.ListTasksRequest(
        page=page,
        page_size=len(ids),
        filters=_any_of(tasks_filters_pb2, field, ids),
        sort=tasks_common_pb2.ListTasksRequest.Sort(
            field=field, direction=sort_direction_pb2.SORT_DIRECTION_ASC
        ),
        with_errors=True,
    )


def _any_of(module: Any, field: Any, ids: Iterable[str]) -> Any:
    filters = module.Filters()
    for one in ids:
        equal = filters_common_pb2.FilterString(
            value=one, operator=filters_common_pb2.FILTER_STRING_OPERATOR_EQUAL
        )
        condition = module.FilterField(field=field, filter_string=equal)
        getattr(filters, "or").append(module.FiltersAnd(**{"and": [condition]}))
    return filters


def live_subscription(session_id: str) -> Any:
    """A GetEvents request for results that tell of running tasks, see `pymonik.wire.live`."""
    field = results_fields_pb2.ResultField(
        result_raw_field=results_fields_pb2.ResultRawField(
            field=results_fields_pb2.RESULT_RAW_ENUM_FIELD_NAME
        )
    )
    filters = results_filters_pb2.Filters()
    for prefix in LIVE_PREFIXES:
        condition = results_filters_pb2.FilterField(
            field=field,
            filter_string=filters_common_pb2.FilterString(
                value=prefix, operator=filters_common_pb2.FILTER_STRING_OPERATOR_STARTS_WITH
            ),
        )
        getattr(filters, "or").append(results_filters_pb2.FiltersAnd(**{"and": [condition]}))
    return events_common_pb2.EventSubscriptionRequest(
        session_id=session_id,
        returned_events=[
            events_common_pb2.EVENTS_ENUM_NEW_RESULT,
            events_common_pb2.EVENTS_ENUM_RESULT_STATUS_UPDATE,
        ],
        results_filters=filters,
    )
