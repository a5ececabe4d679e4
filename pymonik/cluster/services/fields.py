"""What List requests and event filters can name: for each kind of row, the fields by number.

The numbers are those of ArmoniK's ``*_fields.proto``.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from pymonik.cluster.state.faults import Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Field(NamedTuple):
    """A value of a row that can be compared."""

    kind: str  # the condition it takes: ``filter_<kind>``
    get: Callable[[Any], Any]


class Application(NamedTuple):
    """What the tasks of a program have in common."""

    name: str
    version: str
    namespace: str
    service: str


@dataclass(frozen=True, slots=True)
class Table:
    """The fields of one kind of row.

    Attributes:
        display_name: Start of the paths in validation errors.
        fields: By number.
        key: Number of the field that identifies a row.
        session: Number of the field that names the session, 0 without one.
        null_dates: Whether a date condition without value means "not set".
    """

    display_name: str
    fields: Mapping[int, Field]
    key: int = 0
    session: int = 0
    null_dates: bool = True

    def field(self, message: Any) -> Field:
        """The field that a ``TaskField``, ``SessionField``... message names."""
        which = message.WhichOneof("field")
        if which is None:
            raise Unknown("no field")
        value = getattr(message, which).field
        if which == "task_option_generic_field":
            return Field("string", lambda row: row.options.options.get(value))
        fields = OPTIONS if which == "task_option_field" else self.fields
        if value not in fields:
            raise Unknown(f"field {value} of {which} cannot be compared")
        return fields[value]

    def number(self, message: Any) -> int:
        """The number of a field of the row itself, 0 for an option."""
        which = message.WhichOneof("field")
        return 0 if which.startswith("task_option") else int(getattr(message, which).field)


def _fields(**named: tuple[int, str]) -> dict[int, Field]:
    """Fields from ``kind_attribute`` pairs: ``path=(number, kind)``; ``__`` is a dot."""
    return {
        number: Field(kind, attrgetter(path.replace("__", ".")))
        for path, (number, kind) in named.items()
    }


OPTIONS = _fields(
    options__max_duration=(1, "duration"),
    options__max_retries=(2, "number"),
    options__priority=(3, "number"),
    options__partition_id=(4, "string"),
    options__application_name=(5, "string"),
    options__application_version=(6, "string"),
    options__application_namespace=(7, "string"),
    options__application_service=(8, "string"),
    options__engine_type=(9, "string"),
)

TASKS = Table(
    "ListTasksRequest",
    _fields(
        session_id=(1, "string"),
        status=(2, "status"),
        created_at=(3, "date"),
        started_at=(4, "date"),
        ended_at=(5, "date"),
        creation_to_end=(6, "duration"),
        processing_to_end=(7, "duration"),
        error=(8, "string"),
        owner_pod_id=(9, "string"),
        initial_task_id=(10, "string"),
        submitted_at=(11, "date"),
        # 12, pod_ttl, follows below: it is the same attribute as 4
        pod_hostname=(13, "string"),
        received_at=(14, "date"),
        acquired_at=(15, "date"),
        task_id=(16, "string"),
        processed_at=(17, "date"),
        received_to_end=(18, "duration"),
        fetched_at=(19, "date"),
        payload_id=(20, "string"),
        created_by=(21, "string"),
    )
    | {12: Field("date", attrgetter("started_at"))},
    key=16,
    session=1,
)

SESSIONS = Table(
    "ListSessionsRequest",
    _fields(
        session_id=(1, "string"),
        status=(2, "status"),
        partition_ids=(3, "array"),
        created_at=(5, "date"),
        cancelled_at=(6, "date"),
        duration=(7, "duration"),
        closed_at=(8, "date"),
        purged_at=(9, "date"),
        deleted_at=(10, "date"),
        worker_submission=(11, "boolean"),
        client_submission=(12, "boolean"),
    ),
    key=1,
    null_dates=False,  # a date condition without value answers UNKNOWN for sessions only
)

RESULTS = Table(
    "ListResultsRequest",
    _fields(
        session_id=(1, "string"),
        name=(2, "string"),
        owner_task_id=(3, "string"),
        status=(4, "status"),
        created_at=(5, "date"),
        completed_at=(6, "date"),
        result_id=(7, "string"),
        size=(8, "number"),
        created_by=(9, "string"),
        opaque_id=(10, "string"),
        manual_deletion=(11, "boolean"),
    ),
    key=7,
    session=1,
)

PARTITIONS = Table(
    "ListPartitionsRequest",
    _fields(
        partition_id=(1, "string"),
        parent_partition_ids=(2, "array"),
        pod_reserved=(3, "number"),
        pod_max=(4, "number"),
        preemption_percentage=(5, "number"),
        priority=(6, "number"),
    ),
    key=1,
)

APPLICATIONS = Table(
    "ListApplicationsRequest",
    _fields(
        name=(1, "string"),
        version=(2, "string"),
        namespace=(3, "string"),
        service=(4, "string"),
    ),
)
