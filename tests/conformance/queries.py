"""Filters, sorts and requests of the List RPCs, one :class:`Table` for each kind of object."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from armonik.protogen.common import (
    applications_common_pb2,
    applications_fields_pb2,
    applications_filters_pb2,
    partitions_common_pb2,
    partitions_fields_pb2,
    partitions_filters_pb2,
    results_common_pb2,
    results_fields_pb2,
    results_filters_pb2,
    sessions_common_pb2,
    sessions_fields_pb2,
    sessions_filters_pb2,
    tasks_common_pb2,
    tasks_fields_pb2,
    tasks_filters_pb2,
)
from armonik.protogen.common import filters_common_pb2 as common
from armonik.protogen.common.result_status_pb2 import ResultStatus
from armonik.protogen.common.session_status_pb2 import SessionStatus
from armonik.protogen.common.sort_direction_pb2 import SortDirection
from armonik.protogen.common.task_status_pb2 import TaskStatus
from google.protobuf.message import Message

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

Condition = dict[str, Message]
_STATUSES = {"TASK": TaskStatus, "RESULT": ResultStatus, "SESSION": SessionStatus}


def _operator(kind: str, name: str) -> Any:
    enum = getattr(common, f"Filter{kind}Operator")
    return enum.Value(f"FILTER_{kind.upper()}_OPERATOR_{name}")


def string(value: str, operator: str = "EQUAL") -> Condition:
    """Condition on a text."""
    return {
        "filter_string": common.FilterString(value=value, operator=_operator("String", operator))
    }


def number(value: int, operator: str = "EQUAL") -> Condition:
    """Condition on a number."""
    return {
        "filter_number": common.FilterNumber(value=value, operator=_operator("Number", operator))
    }


def date(value: Message, operator: str) -> Condition:
    """Condition on a timestamp."""
    return {"filter_date": common.FilterDate(value=value, operator=_operator("Date", operator))}


def array(value: str, operator: str) -> Condition:
    """Condition on a list of texts."""
    return {"filter_array": common.FilterArray(value=value, operator=_operator("Array", operator))}


def boolean(*, value: bool) -> Condition:
    """Condition on a flag."""
    return {
        "filter_boolean": common.FilterBoolean(value=value, operator=_operator("Boolean", "IS"))
    }


@dataclass(frozen=True)
class Table:
    """How to ask for one kind of object.

    Attributes:
        field: Gives the field of a name, without the prefix of its enum.
        filters_pb2: Module of the filters.
        request: Class of the List requests.
        kind: Prefix of its statuses.
    """

    field: Callable[[str], Message]
    filters_pb2: ModuleType
    request: Any
    kind: str = ""

    def where(self, name: str | Message, condition: Condition | None = None) -> Message:
        """Condition on a field, given by name or as a message."""
        field = self.field(name) if isinstance(name, str) else name
        made: Message = self.filters_pb2.FilterField(field=field, **(condition or {}))
        return made

    def status(self, value: str, operator: str = "EQUAL") -> Message:
        """Condition on the status, given by its short name."""
        number_ = _STATUSES[self.kind].Value(f"{self.kind}_STATUS_{value}")
        found = self.filters_pb2.FilterStatus(value=number_, operator=_operator("Status", operator))
        return self.where("STATUS", {"filter_status": found})

    def all(self, *conditions: Message) -> Message:
        """Filters: all of the conditions."""
        return self.any(conditions)

    def any(self, *alternatives: tuple[Message, ...]) -> Message:
        """Filters: all of the conditions of an alternative; without alternative: everything."""
        ands = [self.filters_pb2.FiltersAnd(**{"and": one}) for one in alternatives]
        made: Message = self.filters_pb2.Filters(**{"or": ands})
        return made

    def page(
        self,
        filters: Message | None,
        sort: str | Message | None,
        *,
        descending: bool = False,
        page: int = 0,
        size: int = 1000,
        direction: str | None = None,
    ) -> Any:
        """List request; ``sort=None`` leaves the sort out."""
        request = self.request(page=page, page_size=size, filters=filters)
        if sort is not None:
            field = self.field(sort) if isinstance(sort, str) else sort
            order = direction or ("DESC" if descending else "ASC")
            request.sort.direction = SortDirection.Value(f"SORT_DIRECTION_{order}")
            if hasattr(request.sort, "fields"):
                request.sort.fields.append(field)
            else:
                request.sort.field.CopyFrom(field)
        return request


def _enum_field(module: ModuleType, name: str, outer: str, oneof: str) -> Callable[[str], Message]:
    """Maker of fields: a value of an enum, in a message, in one of the cases of another message."""
    prefix = re.sub("(?<!^)(?=[A-Z])", "_", name).upper() + "_ENUM_FIELD_"

    def make(field: str) -> Message:
        value = getattr(module, f"{name}EnumField").Value(prefix + field)
        message = getattr(module, f"{name}Field")(field=value)
        made: Message = getattr(module, outer)(**{oneof: message})
        return made

    return make


def task_option_key(key: str) -> Message:
    """Field of tasks: an entry of the map of their options."""
    generic = tasks_fields_pb2.TaskOptionGenericField(field=key)
    made: Message = tasks_fields_pb2.TaskField(task_option_generic_field=generic)
    return made


TASKS = Table(
    _enum_field(tasks_fields_pb2, "TaskSummary", "TaskField", "task_summary_field"),
    tasks_filters_pb2,
    tasks_common_pb2.ListTasksRequest,
    "TASK",
)
RESULTS = Table(
    _enum_field(results_fields_pb2, "ResultRaw", "ResultField", "result_raw_field"),
    results_filters_pb2,
    results_common_pb2.ListResultsRequest,
    "RESULT",
)
SESSIONS = Table(
    _enum_field(sessions_fields_pb2, "SessionRaw", "SessionField", "session_raw_field"),
    sessions_filters_pb2,
    sessions_common_pb2.ListSessionsRequest,
    "SESSION",
)
PARTITIONS = Table(
    _enum_field(partitions_fields_pb2, "PartitionRaw", "PartitionField", "partition_raw_field"),
    partitions_filters_pb2,
    partitions_common_pb2.ListPartitionsRequest,
)
APPLICATIONS = Table(
    _enum_field(applications_fields_pb2, "ApplicationRaw", "ApplicationField", "application_field"),
    applications_filters_pb2,
    applications_common_pb2.ListApplicationsRequest,
)
