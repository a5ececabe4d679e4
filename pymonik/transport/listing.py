"""`Listing`: the control plane's lists as rows, for people who look at what goes on.

Apart from `pymonik.transport.control_plane`, which programs submit through: what is asked here is
asked once and quickly given up, since nobody's result depends on the answer.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any, Final

from armonik.protogen.client import (
    health_checks_service_pb2,
    partitions_service_pb2,
    results_service_pb2,
    sessions_service_pb2,
    tasks_service_pb2,
    versions_service_pb2,
)
from armonik.protogen.common import (
    filters_common_pb2,
    health_checks_common_pb2,
    partitions_common_pb2,
    partitions_fields_pb2,
    partitions_filters_pb2,
    result_status_pb2,
    results_common_pb2,
    results_fields_pb2,
    results_filters_pb2,
    session_status_pb2,
    sessions_common_pb2,
    sessions_fields_pb2,
    sessions_filters_pb2,
    sort_direction_pb2,
    task_status_pb2,
    tasks_common_pb2,
    tasks_fields_pb2,
    tasks_filters_pb2,
    versions_common_pb2,
)

from pymonik.errors import SerializationError
from pymonik.options import TaskOptions
from pymonik.runs.rows import PartitionRow, ResultRow, SessionRow, TaskRow
from pymonik.transport.grpc_errors import translated
from pymonik.transport.methods import Stub
from pymonik.wire import containers
from pymonik.wire.call import SESSION_LABEL
from pymonik.wire.error_text import for_people

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pymonik.wire.call import Meta

PAGE: Final = 1000  # rows of one request
IDS_PER_LIST: Final = 500  # conditions of one filter: MongoDB takes seconds for tens of thousands

_Field = tasks_fields_pb2
_ASCENDING = sort_direction_pb2.SORT_DIRECTION_ASC
_DESCENDING = sort_direction_pb2.SORT_DIRECTION_DESC


class Listing:
    """Lists of a control plane.

    Every method raises `ControlPlaneError` or one of its subclasses.

    Args:
        channel: Of gRPC, or a `DirectChannel`; it belongs to the caller.
        timeout_s: Seconds in which a request must be answered.
    """

    def __init__(self, channel: Any, *, timeout_s: float = 10.0) -> None:
        self._timeout_s = timeout_s
        self._tasks = Stub(channel, tasks_service_pb2)
        self._sessions = Stub(channel, sessions_service_pb2)
        self._results = Stub(channel, results_service_pb2)
        self._partitions = Stub(channel, partitions_service_pb2)
        self._versions = Stub(channel, versions_service_pb2)
        self._health = Stub(channel, health_checks_service_pb2)

    # -- tasks ---------------------------------------------------------------------------------

    def tasks(
        self,
        *,
        session_id: str = "",
        statuses: Sequence[str] = (),
        partition: str = "",
        ids: Sequence[str] = (),
        first_ids: Sequence[str] = (),
        limit: int = PAGE,
        newest_first: bool = False,
        acquired_last: bool = False,
        details: bool = False,
    ) -> list[TaskRow]:
        """Tasks that match everything that is given.

        Args:
            session_id: Of this session only.
            statuses: In one of these only.
            partition: Of this partition only.
            ids: Only these.
            first_ids: Only attempts at these.
            limit: Most rows.
            newest_first: In that order; otherwise the oldest come first.
            acquired_last: Those that a worker took last come first.
            details: With dependencies and outputs.
        """
        common = []
        if session_id:
            common.append(_task_text(_Field.TASK_SUMMARY_ENUM_FIELD_SESSION_ID, session_id))
        if partition:
            common.append(_partition_is(partition))
        if acquired_last:
            common.append(_acquired_is_set())
        rows: list[TaskRow] = []
        for alternatives in _alternatives(statuses, ids, first_ids):
            rows += self._listed(
                _any_of(tasks_filters_pb2, common, alternatives),
                _task_sort(newest_first=newest_first, acquired_last=acquired_last),
                limit - len(rows),
                details=details,
            )
            if len(rows) >= limit:
                break
        return rows

    def _listed(self, filters: Any, sort: Any, limit: int, *, details: bool) -> list[TaskRow]:
        method = self._tasks.ListTasksDetailed if details else self._tasks.ListTasks
        rows: list[TaskRow] = []
        page = 0
        while len(rows) < limit:
            request = tasks_common_pb2.ListTasksRequest(
                page=page,
                page_size=min(limit, PAGE),
                filters=filters,
                sort=sort,
                with_errors=True,
            )
            answer = self._ask("ListTasks", method, request)
            rows += map(_task_row, answer.tasks)
            page += 1
            if page * min(limit, PAGE) >= answer.total or not answer.tasks:
                break
        return rows[:limit]

    def count_tasks(self, session_id: str = "") -> dict[str, int]:
        """How many tasks there are, of the session if one is given, by status."""
        common = []
        if session_id:
            common.append(_task_text(_Field.TASK_SUMMARY_ENUM_FIELD_SESSION_ID, session_id))
        return self._counted(common)

    def count_tasks_of(self, host: str, partition: str) -> dict[str, int]:
        """How many tasks of the partition the host has or had, by status."""
        hostname = _task_text(_Field.TASK_SUMMARY_ENUM_FIELD_POD_HOSTNAME, host)
        return self._counted([hostname, _partition_is(partition)])

    def _counted(self, conditions: Sequence[Any]) -> dict[str, int]:
        request = tasks_common_pb2.CountTasksByStatusRequest(
            filters=_any_of(tasks_filters_pb2, conditions, [()])
        )
        answer = self._ask("CountTasksByStatus", self._tasks.CountTasksByStatus, request)
        return {_task_status(count.status): count.count for count in answer.status}

    def cancel_tasks(self, ids: Sequence[str]) -> None:
        """Cancel those that have not ended."""
        request = tasks_common_pb2.CancelTasksRequest(task_ids=ids)
        self._ask("CancelTasks", self._tasks.CancelTasks, request)

    # -- sessions ------------------------------------------------------------------------------

    def sessions(self, limit: int = 100, *, name: str = "") -> list[SessionRow]:
        """Sessions, the newest first.

        Args:
            limit: Most rows.
            name: Only those to which a program has given this name.
        """
        field = sessions_fields_pb2.SessionField(
            session_raw_field=sessions_fields_pb2.SessionRawField(
                field=sessions_fields_pb2.SESSION_RAW_ENUM_FIELD_CREATED_AT
            )
        )
        conditions = [_session_name_is(name)] if name else []
        request = sessions_common_pb2.ListSessionsRequest(
            page_size=limit,
            filters=_any_of(sessions_filters_pb2, conditions, [()] if name else []),
            sort=sessions_common_pb2.ListSessionsRequest.Sort(field=field, direction=_DESCENDING),
        )
        answer = self._ask("ListSessions", self._sessions.ListSessions, request)
        return [_session_row(raw) for raw in answer.sessions]

    def session(self, session_id: str) -> SessionRow | None:
        """The session; ``None`` if there is no such session."""
        field = sessions_fields_pb2.SessionField(
            session_raw_field=sessions_fields_pb2.SessionRawField(
                field=sessions_fields_pb2.SESSION_RAW_ENUM_FIELD_SESSION_ID
            )
        )
        condition = sessions_filters_pb2.FilterField(field=field, filter_string=_equals(session_id))
        request = sessions_common_pb2.ListSessionsRequest(
            page_size=1,
            filters=_any_of(sessions_filters_pb2, [condition], [()]),
            sort=sessions_common_pb2.ListSessionsRequest.Sort(field=field, direction=_ASCENDING),
        )
        answer = self._ask("ListSessions", self._sessions.ListSessions, request)
        return next((_session_row(raw) for raw in answer.sessions), None)

    def size_of_session(self, session_id: str) -> tuple[int, int]:
        """How many results a session has, and the bytes of the largest thousand of them."""
        field = _result_field(results_fields_pb2.RESULT_RAW_ENUM_FIELD_SESSION_ID)
        condition = results_filters_pb2.FilterField(field=field, filter_string=_equals(session_id))
        request = results_common_pb2.ListResultsRequest(
            page_size=PAGE,
            filters=_any_of(results_filters_pb2, [condition], [()]),
            sort=results_common_pb2.ListResultsRequest.Sort(
                field=_result_field(results_fields_pb2.RESULT_RAW_ENUM_FIELD_SIZE),
                direction=_DESCENDING,
            ),
        )
        answer = self._ask("ListResults", self._results.ListResults, request)
        there = [
            raw for raw in answer.results if raw.status == result_status_pb2.RESULT_STATUS_COMPLETED
        ]
        return answer.total, sum(raw.size for raw in there)

    def purge_session(self, session_id: str) -> None:
        """Delete the data of a session that is closed or cancelled."""
        request = sessions_common_pb2.PurgeSessionRequest(session_id=session_id)
        self._ask("PurgeSession", self._sessions.PurgeSession, request)

    def delete_session(self, session_id: str) -> None:
        """Forget a session with everything in it."""
        request = sessions_common_pb2.DeleteSessionRequest(session_id=session_id)
        self._ask("DeleteSession", self._sessions.DeleteSession, request)

    def cancel_session(self, session_id: str) -> None:
        """Stop everything in it."""
        request = sessions_common_pb2.CancelSessionRequest(session_id=session_id)
        self._ask("CancelSession", self._sessions.CancelSession, request)

    # -- results, partitions, the cluster ------------------------------------------------------

    def results(self, ids: Sequence[str]) -> dict[str, ResultRow]:
        """The results with these ids, by id; those that do not exist are left out."""
        field = _result_field(results_fields_pb2.RESULT_RAW_ENUM_FIELD_RESULT_ID)
        found: dict[str, ResultRow] = {}
        for part in _parts(ids):
            conditions = [
                (results_filters_pb2.FilterField(field=field, filter_string=_equals(one)),)
                for one in part
            ]
            request = results_common_pb2.ListResultsRequest(
                page_size=len(part),
                filters=_any_of(results_filters_pb2, [], conditions),
                sort=results_common_pb2.ListResultsRequest.Sort(field=field, direction=_ASCENDING),
            )
            answer = self._ask("ListResults", self._results.ListResults, request)
            found.update((raw.result_id, _result_row(raw)) for raw in answer.results)
        return found

    def results_named(
        self,
        prefix: str | Sequence[str],
        limit: int = PAGE,
        *,
        session_id: str = "",
        exactly: bool = False,
    ) -> list[ResultRow]:
        """Results that are there and whose names start so, the newest first.

        Args:
            prefix: Of the names; of several, one is enough.
            limit: Most rows.
            session_id: Of this session only.
            exactly: Whether it is the whole name.
        """
        conditions = [
            results_filters_pb2.FilterField(
                field=_result_field(results_fields_pb2.RESULT_RAW_ENUM_FIELD_STATUS),
                filter_status=results_filters_pb2.FilterStatus(
                    value=result_status_pb2.RESULT_STATUS_COMPLETED,
                    operator=filters_common_pb2.FILTER_STATUS_OPERATOR_EQUAL,
                ),
            ),
        ]
        if session_id:
            field = _result_field(results_fields_pb2.RESULT_RAW_ENUM_FIELD_SESSION_ID)
            conditions.append(
                results_filters_pb2.FilterField(field=field, filter_string=_equals(session_id))
            )
        starts = [prefix] if isinstance(prefix, str) else prefix
        named = [(_is_named(one, exactly=exactly),) for one in starts]
        return self._results_listed(_any_of(results_filters_pb2, conditions, named), limit)

    def _results_listed(self, filters: Any, limit: int) -> list[ResultRow]:
        request = results_common_pb2.ListResultsRequest(
            page_size=min(limit, PAGE),
            filters=filters,
            sort=results_common_pb2.ListResultsRequest.Sort(
                field=_result_field(results_fields_pb2.RESULT_RAW_ENUM_FIELD_CREATED_AT),
                direction=_DESCENDING,
            ),
        )
        rows: list[ResultRow] = []
        while len(rows) < limit:
            answer = self._ask("ListResults", self._results.ListResults, request)
            rows += map(_result_row, answer.results)
            request.page += 1
            if request.page * request.page_size >= answer.total or not answer.results:
                break
        return rows[:limit]

    def data(self, result: ResultRow) -> bytes:
        """What a small result holds."""
        request = results_common_pb2.DownloadResultDataRequest(
            session_id=result.session_id, result_id=result.result_id
        )
        with translated("DownloadResultData"):
            answers = self._results.DownloadResultData(request, timeout=self._timeout_s)
            return b"".join(answer.data_chunk for answer in answers)

    def head(self, result: ResultRow) -> Meta | None:
        """What stands at the beginning of a container, however large that is; ``None`` of others.

        The download is given up once the head is there, which is the first message of most.
        """
        request = results_common_pb2.DownloadResultDataRequest(
            session_id=result.session_id, result_id=result.result_id
        )
        beginning = bytearray()
        with translated("DownloadResultData"):
            answers = self._results.DownloadResultData(request, timeout=self._timeout_s)
            try:
                for answer in answers:
                    beginning += answer.data_chunk
                    if (meta := containers.head_in(beginning)) is not None:
                        return meta
            except SerializationError:
                return None
            finally:
                answers.cancel()
        return None

    def delete_data(self, ids: Sequence[str]) -> None:
        """Delete what results hold; they are listed no more among those that are there."""
        request = results_common_pb2.DeleteResultsDataRequest(result_id=ids)
        self._ask("DeleteResultsData", self._results.DeleteResultsData, request)

    def partitions(self) -> list[PartitionRow]:
        """All partitions, by name."""
        field = partitions_fields_pb2.PartitionField(
            partition_raw_field=partitions_fields_pb2.PartitionRawField(
                field=partitions_fields_pb2.PARTITION_RAW_ENUM_FIELD_ID
            )
        )
        request = partitions_common_pb2.ListPartitionsRequest(
            page_size=PAGE,
            filters=partitions_filters_pb2.Filters(),
            sort=partitions_common_pb2.ListPartitionsRequest.Sort(
                field=field, direction=_ASCENDING
            ),
        )
        answer = self._ask("ListPartitions", self._partitions.ListPartitions, request)
        return [
            PartitionRow(
                raw.id, raw.pod_reserved, raw.pod_max, raw.priority, dict(raw.pod_configuration)
            )
            for raw in answer.partitions
        ]

    def versions(self) -> dict[str, str]:
        """Versions of the cluster's core and of its API."""
        request = versions_common_pb2.ListVersionsRequest()
        answer = self._ask("ListVersions", self._versions.ListVersions, request)
        return {"core": answer.core, "api": answer.api}

    def health(self) -> dict[str, str]:
        """How the parts of the control plane are, by name."""
        request = health_checks_common_pb2.CheckHealthRequest()
        answer = self._ask("CheckHealth", self._health.CheckHealth, request)
        name = health_checks_common_pb2.HealthStatusEnum.Name
        prefix = "HEALTH_STATUS_ENUM_"
        return {one.name: name(one.healthy).removeprefix(prefix) for one in answer.services}

    def _ask(self, operation: str, method: Any, request: Any) -> Any:
        with translated(operation):
            return method(request, timeout=self._timeout_s)


# -- filters -------------------------------------------------------------------------------------


def _any_of(module: Any, common: Sequence[Any], alternatives: Sequence[Sequence[Any]]) -> Any:
    """Filters that hold where all of ``common`` do, and all of one of ``alternatives``."""
    filters = module.Filters()
    for one in alternatives:
        getattr(filters, "or").append(module.FiltersAnd(**{"and": [*common, *one]}))
    return filters


def _alternatives(
    statuses: Sequence[str], ids: Sequence[str], first_ids: Sequence[str]
) -> Iterator[list[tuple[Any, ...]]]:
    """For each request, the conditions of which one must hold."""
    named = [(_Field.TASK_SUMMARY_ENUM_FIELD_TASK_ID, one) for one in ids]
    named += [(_Field.TASK_SUMMARY_ENUM_FIELD_INITIAL_TASK_ID, one) for one in first_ids]
    by_status: list[tuple[Any, ...]] = [(_status_is(one),) for one in statuses] or [()]
    if not named:
        yield by_status
    for part in _parts(named):
        yield [(_task_text(*one), *status) for one in part for status in by_status]


def _parts(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), IDS_PER_LIST):
        yield items[start : start + IDS_PER_LIST]


def _equals(text: str) -> Any:
    return filters_common_pb2.FilterString(
        value=text, operator=filters_common_pb2.FILTER_STRING_OPERATOR_EQUAL
    )


def _is_named(name: str, *, exactly: bool) -> Any:
    """Whether a result has this name, or one that starts so."""
    operator = filters_common_pb2.FILTER_STRING_OPERATOR_STARTS_WITH
    if exactly:
        operator = filters_common_pb2.FILTER_STRING_OPERATOR_EQUAL
    condition = filters_common_pb2.FilterString(value=name, operator=operator)
    field = _result_field(results_fields_pb2.RESULT_RAW_ENUM_FIELD_NAME)
    return results_filters_pb2.FilterField(field=field, filter_string=condition)


def _summary(number: int) -> Any:
    return _Field.TaskField(task_summary_field=_Field.TaskSummaryField(field=number))


def _task_text(number: int, text: str) -> Any:
    return tasks_filters_pb2.FilterField(field=_summary(number), filter_string=_equals(text))


def _status_is(status: str) -> Any:
    condition = tasks_filters_pb2.FilterStatus(
        value=task_status_pb2.TaskStatus.Value(f"TASK_STATUS_{status}"),
        operator=filters_common_pb2.FILTER_STATUS_OPERATOR_EQUAL,
    )
    field = _summary(_Field.TASK_SUMMARY_ENUM_FIELD_STATUS)
    return tasks_filters_pb2.FilterField(field=field, filter_status=condition)


def _result_field(number: int) -> Any:
    return results_fields_pb2.ResultField(
        result_raw_field=results_fields_pb2.ResultRawField(field=number)
    )


def _session_name_is(name: str) -> Any:
    field = sessions_fields_pb2.SessionField(
        task_option_generic_field=sessions_fields_pb2.TaskOptionGenericField(field=SESSION_LABEL)
    )
    return sessions_filters_pb2.FilterField(field=field, filter_string=_equals(name))


def _partition_is(name: str) -> Any:
    field = _Field.TaskField(
        task_option_field=_Field.TaskOptionField(field=_Field.TASK_OPTION_ENUM_FIELD_PARTITION_ID)
    )
    return tasks_filters_pb2.FilterField(field=field, filter_string=_equals(name))


def _acquired_is_set() -> Any:
    # PostgreSQL puts unset dates first in a descending order, MongoDB last; ArmoniK has either. So
    # tasks that no worker has taken are left out.
    condition = filters_common_pb2.FilterDate(
        operator=filters_common_pb2.FILTER_DATE_OPERATOR_NOT_EQUAL
    )
    field = _summary(_Field.TASK_SUMMARY_ENUM_FIELD_ACQUIRED_AT)
    return tasks_filters_pb2.FilterField(field=field, filter_date=condition)


def _task_sort(*, newest_first: bool, acquired_last: bool) -> Any:
    number = _Field.TASK_SUMMARY_ENUM_FIELD_CREATED_AT
    if acquired_last:
        number = _Field.TASK_SUMMARY_ENUM_FIELD_ACQUIRED_AT
    return tasks_common_pb2.ListTasksRequest.Sort(
        field=_summary(number),
        direction=_DESCENDING if newest_first or acquired_last else _ASCENDING,
    )


# -- rows ----------------------------------------------------------------------------------------


def _task_row(raw: Any) -> TaskRow:
    """From a ``TaskSummary`` or a ``TaskDetailed``."""
    is_detailed = hasattr(raw, "data_dependencies")
    told = raw.output.error if is_detailed else raw.error
    return TaskRow(
        task_id=raw.id,
        session_id=raw.session_id,
        status=_task_status(raw.status),
        partition=raw.options.partition_id,
        first_id=raw.initial_task_id or raw.id,
        worker=_worker(raw.pod_hostname, raw.owner_pod_id),
        error=for_people(told),
        told=told,
        options=dict(raw.options.options),
        created=_seconds(raw, "created_at"),
        submitted=_seconds(raw, "submitted_at"),
        received=_seconds(raw, "received_at"),
        acquired=_seconds(raw, "acquired_at"),
        fetched=_seconds(raw, "fetched_at"),
        started=_seconds(raw, "started_at"),
        processed=_seconds(raw, "processed_at"),
        ended=_seconds(raw, "ended_at"),
        payload=raw.payload_id if is_detailed else "",
        limits=_limits(raw.options) if is_detailed else None,
        dependencies=tuple(raw.data_dependencies) if is_detailed else (),
        outputs=tuple(raw.expected_output_ids) if is_detailed else (),
    )


def _limits(raw: Any) -> TaskOptions:
    """The options of a task, to be submitted with another one."""
    duration = raw.max_duration.ToTimedelta()
    return TaskOptions(
        max_duration=duration or None,
        max_retries=max(raw.max_retries, 0),
        priority=raw.priority or None,
        partition_id=raw.partition_id or None,
        options=dict(raw.options),
    )


def _task_status(number: int) -> str:
    return str(task_status_pb2.TaskStatus.Name(number)).removeprefix("TASK_STATUS_")


def _worker(hostname: str, pod: str) -> str:
    """The name of the pod; on a machine that runs several, with the number of the worker.

    ArmoniK's owner of a task is the address of its agent, which tells people nothing more.
    """
    if not hostname or not pod or hostname == pod:
        return hostname or pod
    try:
        ipaddress.ip_address(pod)
    except ValueError:
        return f"{hostname}/{pod}"
    return hostname


def _session_row(raw: Any) -> SessionRow:
    status = session_status_pb2.SessionStatus.Name(raw.status).removeprefix("SESSION_STATUS_")
    ended = [_seconds(raw, f"{how}_at") for how in ("closed", "cancelled", "purged", "deleted")]
    return SessionRow(
        session_id=raw.session_id,
        status=status,
        partitions=tuple(raw.partition_ids),
        created=_seconds(raw, "created_at"),
        ended=min((one for one in ended if one is not None), default=None),
        options=dict(raw.options.options),
        takes_calls=raw.client_submission,
    )


def _result_row(raw: Any) -> ResultRow:
    status = result_status_pb2.ResultStatus.Name(raw.status).removeprefix("RESULT_STATUS_")
    return ResultRow(
        result_id=raw.result_id,
        status=status,
        owner=raw.owner_task_id,
        name=raw.name,
        size=raw.size,
        session_id=raw.session_id,
        created=_seconds(raw, "created_at"),
        created_by=raw.created_by,
    )


def _seconds(raw: Any, name: str) -> float | None:
    if not raw.HasField(name):
        return None
    instant = getattr(raw, name)
    return float(instant.seconds + instant.nanos / 1e9)
