"""List RPCs, counts, small services, and the order in which priorities are served."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

from armonik.protogen.common import auth_common_pb2 as auth_pb
from armonik.protogen.common import health_checks_common_pb2 as health_pb
from armonik.protogen.common import partitions_common_pb2 as partitions_pb
from armonik.protogen.common import results_common_pb2 as results_pb
from armonik.protogen.common import tasks_common_pb2 as tasks_pb
from armonik.protogen.common import versions_common_pb2 as versions_pb

from tests.conformance.client import status
from tests.conformance.ops import fail, send, sleep
from tests.conformance.queries import (
    APPLICATIONS,
    PARTITIONS,
    RESULTS,
    SESSIONS,
    TASKS,
    Table,
    date,
    number,
    string,
    task_option_key,
)
from tests.conformance.registry import scenario
from tests.conformance.scenarios_control import busy

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message

    from tests.conformance.trial import Trial


def _lists(t: Trial) -> dict[str, tuple[Any, Table, str]]:
    """Every List RPC, its table and a field to sort on."""
    return {
        "ListSessions": (t.cluster.sessions.ListSessions, SESSIONS, "SESSION_ID"),
        "ListTasks": (t.cluster.tasks.ListTasks, TASKS, "TASK_ID"),
        "ListTasksDetailed": (t.cluster.tasks.ListTasksDetailed, TASKS, "TASK_ID"),
        "ListResults": (t.cluster.results.ListResults, RESULTS, "RESULT_ID"),
        "ListPartitions": (t.cluster.partitions.ListPartitions, PARTITIONS, "ID"),
        "ListApplications": (t.cluster.applications.ListApplications, APPLICATIONS, "NAME"),
    }


def _list_results(t: Trial, filters: Message, sort: str = "RESULT_ID", **page: Any) -> Any:
    return t.cluster.results.ListResults(RESULTS.page(filters, sort, **page))


@scenario(112, "Validation of the List requests")
def validation(t: Trial) -> None:
    for name, (call, table, field) in _lists(t).items():
        everything = table.any()
        t.holds(f"{name}: a valid request", call(table.page(everything, field)).total >= 0)
        wrong = {
            "no filters": table.page(None, field),
            "no sort": table.page(everything, None),
            "no direction": table.page(everything, field, direction="UNSPECIFIED"),
            "page -1": table.page(everything, field, page=-1),
            "page_size -1": table.page(everything, field, size=-1),
        }
        for what, request in wrong.items():
            t.refused(f"{name}: {what}", "INVALID_ARGUMENT", call, request)


@scenario(113, "Pages")
def pages(t: Trial) -> None:
    session_id = t.session()
    names = [f"{index}" for index in range(25)]
    expected = sorted(t.metas(session_id, *names))
    filters = RESULTS.all(RESULTS.where("SESSION_ID", string(session_id)))
    for descending in (False, True):
        order = "descending" if descending else "ascending"
        replies = [
            _list_results(t, filters, page=page, size=10, descending=descending)
            for page in range(4)
        ]
        t.equal(f"{order}: sizes", [len(reply.results) for reply in replies], [10, 10, 5, 0])
        t.equal(f"{order}: totals", [reply.total for reply in replies], [25] * 4)
        t.equal(f"{order}: pages", [reply.page for reply in replies], [0, 1, 2, 3])
        t.equal(f"{order}: page sizes", [reply.page_size for reply in replies], [10] * 4)
        found = [raw.result_id for reply in replies for raw in reply.results]
        t.holds(f"{order}: IDs", found == sorted(expected, reverse=descending))
    empty = _list_results(t, filters, size=0)
    t.equal("page_size 0", [len(empty.results), empty.total], [0, 25])


@scenario(114, "Operators on texts")
def text_operators(t: Trial) -> None:
    session_id = t.session()
    names = ["alpha", "Alpha", "beta", "al%a", "al_a", "al.a", "al*a", ""]
    t.metas(session_id, *names)

    def found(value: str, operator: str) -> set[str]:
        conditions = (
            RESULTS.where("SESSION_ID", string(session_id)),
            RESULTS.where("NAME", string(value, operator)),
        )
        return {raw.name for raw in t.results(*conditions)}

    operators: dict[str, Callable[[str, str], bool]] = {
        "EQUAL": lambda name, value: name == value,
        "NOT_EQUAL": lambda name, value: name != value,
        "CONTAINS": lambda name, value: value in name,
        "NOT_CONTAINS": lambda name, value: value not in name,
        "STARTS_WITH": lambda name, value: name.startswith(value),
        "ENDS_WITH": lambda name, value: name.endswith(value),
    }
    for operator, holds in operators.items():
        for value in ("alpha", "al", "pha", "A", "%", "_", ".", "*", "l%", "l_a", "l.a", "al.*a"):
            wanted = {name for name in names if holds(name, value)}
            t.equal(f"{operator} {value}", found(value, operator), wanted)


@scenario(115, "Filters: alternatives of conjunctions")
def and_or(t: Trial) -> None:
    session_id, other = t.session(), t.session()
    created, b, rest = t.metas(session_id, "a", "b", "c")
    completed = t.data(session_id, b"abc", name="a")
    elsewhere = t.meta(other, "a")
    here = RESULTS.where("SESSION_ID", string(session_id))
    name_a, name_b = (RESULTS.where("NAME", string(name)) for name in ("a", "b"))
    filters = RESULTS.any((here, name_a, RESULTS.status("CREATED")), (here, name_b))
    found = {raw.result_id for raw in _list_results(t, filters).results}
    t.equal("(a and CREATED) or b", found, {created, b})
    mine = {created, b, rest, completed, elsewhere}
    everything = {"no alternative": RESULTS.any(), "one empty alternative": RESULTS.any(())}
    for name, all_filters in everything.items():
        reply = _list_results(t, all_filters, sort="CREATED_AT", descending=True, size=10000)
        listed = {raw.result_id for raw in reply.results}
        t.equal(f"{name}: missing", mine - listed, set())
        t.holds(f"{name}: total", reply.total >= len(reply.results) >= len(mine))


@scenario(116, "Operators on dates, numbers, statuses and entries of the options")
def other_operators(t: Trial) -> None:
    session_id = t.session()
    found: list[results_pb.ResultRaw] = []
    for index in range(3):
        found.append(t.get_result(t.data(session_id, b"x" * index, name=f"{index}")))
        time.sleep(0.05)
    here = RESULTS.where("SESSION_ID", string(session_id))
    middle = found[1].created_at
    cases: dict[str, tuple[Message, set[str]]] = {}
    dates = {
        "EQUAL": "1",
        "NOT_EQUAL": "02",
        "BEFORE": "0",
        "BEFORE_OR_EQUAL": "01",
        "AFTER": "2",
        "AFTER_OR_EQUAL": "12",
    }
    numbers = {
        "EQUAL": "1",
        "NOT_EQUAL": "02",
        "LESS_THAN": "0",
        "LESS_THAN_OR_EQUAL": "01",
        "GREATER_THAN": "2",
        "GREATER_THAN_OR_EQUAL": "12",
    }
    for operator, names in dates.items():
        condition = RESULTS.where("CREATED_AT", date(middle, operator))
        cases[f"created_at {operator}"] = condition, set(names)
    for operator, names in numbers.items():
        cases[f"size {operator} 1"] = RESULTS.where("SIZE", number(1, operator)), set(names)
    cases["status EQUAL CREATED"] = RESULTS.status("CREATED"), {"created"}
    cases["status NOT_EQUAL CREATED"] = RESULTS.status("CREATED", "NOT_EQUAL"), set("012")
    t.meta(session_id, "created")
    for name, (condition, wanted) in cases.items():
        listed = {raw.name for raw in t.results(here, condition)} - ({"created"} - wanted)
        t.equal(name, listed, wanted)
    gate = t.meta(session_id)
    task_id = t.task(session_id, deps=[gate], options=t.options(options={"k": "v"}))
    t.task(session_id, deps=[gate])
    of_session = TASKS.where("SESSION_ID", string(session_id))
    for name, key, value, wanted_ids in (
        ("entry of the options", "k", "v", [task_id]),
        ("other value", "k", "w", []),
        ("absent key", "absent", "v", []),
        ("absent key, empty value", "absent", "", []),
    ):
        condition = TASKS.where(task_option_key(key), string(value))
        t.equal(name, [task.id for task in t.tasks(of_session, condition)], wanted_ids)


@scenario(117, "Ill-typed filters and sorts", tags="err")
def ill_typed(t: Trial) -> None:
    cases = {
        "number on a text": RESULTS.page(RESULTS.all(RESULTS.where("NAME", number(1))), "NAME"),
        "text on a date": RESULTS.page(
            RESULTS.all(RESULTS.where("CREATED_AT", string("x"))), "NAME"
        ),
        "no condition": RESULTS.page(RESULTS.all(RESULTS.where("NAME")), "NAME"),
        "unspecified field": RESULTS.page(
            RESULTS.all(RESULTS.where("UNSPECIFIED", string("x"))), "NAME"
        ),
        "unspecified sort": RESULTS.page(RESULTS.any(), "UNSPECIFIED"),
    }
    for name, request in cases.items():
        t.refused(name, "UNKNOWN", t.cluster.results.ListResults, request)


@scenario(
    118, "GetTask of an unknown task; GetResultIds of a known and an unknown one", tags="core"
)
def unknown_task(t: Trial) -> None:
    session_id, unknown = t.session(), t.unknown()
    details = t.refused("GetTask", "NOT_FOUND", t.get_task, unknown)
    t.equal("details", details, f"Task was not found: Task '{unknown}' not found.")
    result_id = t.meta(session_id)
    task_id = t.task(session_id, out=[result_id])
    request = tasks_pb.GetResultIdsRequest(task_id=[task_id, unknown])
    found = t.cluster.tasks.GetResultIds(request).task_results
    pairs = [(entry.task_id, list(entry.result_ids)) for entry in found]
    t.equal("GetResultIds", pairs, [(task_id, [result_id])])


def _varied(t: Trial, session_id: str) -> list[str]:
    """Tasks of one session: two COMPLETED, one ERROR, one PENDING."""
    options = t.options(application_name="app", options={"k": "v"})
    gate, output = t.meta(session_id), t.meta(session_id)
    completed = [t.task(session_id, [send("@0", "abc")], out=[output]), t.task(session_id)]
    failed = t.task(session_id, [fail("boom")], options=options)
    waiting = t.task(session_id, out=[t.meta(session_id)], deps=[gate, output])
    for task_id in completed:
        t.ends(task_id)
    t.ends(failed, "ERROR")
    return [*completed, failed, waiting]


@scenario(119, "CountTasksByStatus")
def count(t: Trial) -> None:
    session_id = t.session()
    _varied(t, session_id)
    filters = TASKS.all(TASKS.where("SESSION_ID", string(session_id)))
    reply = t.cluster.tasks.CountTasksByStatus(tasks_pb.CountTasksByStatusRequest(filters=filters))
    counts = {status(entry): entry.count for entry in reply.status}
    t.equal("counts", counts, {"COMPLETED": 2, "ERROR": 1, "PENDING": 1})
    t.equal("entries", len(reply.status), 3)
    listed: dict[str, int] = {}
    for task in t.cluster.tasks.ListTasks(TASKS.page(filters, "TASK_ID")).tasks:
        listed[status(task)] = listed.get(status(task), 0) + 1
    t.equal("ListTasks", listed, counts)
    only = TASKS.all(TASKS.where("SESSION_ID", string(session_id)), TASKS.status("PENDING"))
    reply = t.cluster.tasks.CountTasksByStatus(tasks_pb.CountTasksByStatusRequest(filters=only))
    t.equal("filtered", {status(entry): entry.count for entry in reply.status}, {"PENDING": 1})


@scenario(120, "ListTasks and ListTasksDetailed agree")
def summaries(t: Trial) -> None:
    session_id = t.session()
    task_ids = _varied(t, session_id)
    request = TASKS.page(TASKS.all(TASKS.where("SESSION_ID", string(session_id))), "TASK_ID")
    short = list(t.cluster.tasks.ListTasks(request).tasks)
    detailed = list(t.cluster.tasks.ListTasksDetailed(request).tasks)
    t.holds(
        "IDs", [task.id for task in short] == [task.id for task in detailed] == sorted(task_ids)
    )
    same = [
        field.name
        for field in tasks_pb.TaskSummary.DESCRIPTOR.fields
        if field.name in tasks_pb.TaskDetailed.DESCRIPTOR.fields_by_name
    ]
    lists = ("parent_task_ids", "data_dependencies", "expected_output_ids", "retry_of_ids")
    by_id = {one.id: (one, task) for one, task in zip(short, detailed, strict=False)}
    for task_id in task_ids:
        one, task = by_id[task_id]
        name = f"{t.names.text(task_id)} {status(task)}"
        different = [field for field in same if getattr(one, field) != getattr(task, field)]
        t.equal(f"{name}: fields that differ", different, [])
        counts = {field: getattr(one, f"count_{field}") for field in lists}
        t.equal(f"{name}: counts", counts, {field: len(getattr(task, field)) for field in lists})
        t.equal(f"{name}: error", one.error, task.output.error)
        t.equal(f"{name}: GetTask", t.get_task(task.id) == task, True)
    t.equal("errors", sorted(task.error for task in short), ["", "", "", "boom"])


@scenario(121, "Partitions and applications")
def partitions_applications(t: Trial) -> None:
    partition = t.settings.partition
    get = t.cluster.partitions.GetPartition
    found = get(partitions_pb.GetPartitionRequest(id=partition)).partition
    t.equal("GetPartition", found.id, partition)
    t.refused(
        "GetPartition, unknown",
        "NOT_FOUND",
        get,
        partitions_pb.GetPartitionRequest(id="no-such-partition"),
        begins="Partition was not found: Partition 'no-such-partition' not found.",
    )
    listed = t.cluster.partitions.ListPartitions(PARTITIONS.page(PARTITIONS.any(), "ID")).partitions
    t.equal("ListPartitions", [one for one in listed if one.id == partition], [found])
    only = PARTITIONS.all(PARTITIONS.where("ID", string(partition)))
    total = t.cluster.partitions.ListPartitions(PARTITIONS.page(only, "ID")).total
    t.equal("ListPartitions of one ID", total, 1)

    name = f"conformance-{uuid.uuid4()}"
    t.names.label("application", name)
    session_id = t.session(
        application_name=name,
        application_version="1.0",
        application_namespace="space",
        application_service="service",
    )
    for _ in range(2):
        t.ends(t.task(session_id))
    filters = APPLICATIONS.all(APPLICATIONS.where("NAME", string(name)))
    reply = t.cluster.applications.ListApplications(APPLICATIONS.page(filters, "NAME"))
    tuples = [(one.name, one.version, one.namespace, one.service) for one in reply.applications]
    t.equal("ListApplications", tuples, [(name, "1.0", "space", "service")])
    t.equal("ListApplications: total", reply.total, 1)


@scenario(122, "Health, versions, current user")
def small_services(t: Trial) -> None:
    services = t.cluster.health.CheckHealth(health_pb.CheckHealthRequest()).services
    found = [(one.name, health_pb.HealthStatusEnum.Name(one.healthy)) for one in services]
    wanted = [(name, "HEALTH_STATUS_ENUM_HEALTHY") for name in ("database", "object", "queue")]
    t.equal("CheckHealth", found, wanted)
    versions = t.cluster.versions.ListVersions(versions_pb.ListVersionsRequest())
    t.equal("ListVersions", [bool(versions.core), bool(versions.api)], [True, True])
    user = t.cluster.auth.GetCurrentUser(auth_pb.GetCurrentUserRequest()).user
    t.equal("username, roles", [user.username, list(user.roles)], ["Anonymous", []])
    needed = {"Tasks:SubmitTasks", "Sessions:CreateSession", "Events:GetEvents"}
    t.equal("missing permissions", needed - set(user.permissions), set())
    t.see("permissions", sorted(user.permissions))


@scenario(123, "Higher priorities first", alone=True)
def priorities(t: Trial) -> None:
    session_id = t.session()
    workers = t.settings.workers
    busy(t, session_id, 2)
    tasks: dict[str, int] = {}
    for priority in (1, 5):
        options = t.options(priority=priority)
        creations = [t.creation(session_id, [sleep(0.3)]) for _ in range(3 * workers)]
        for task_id in t.submit(session_id, *creations, options=options):
            tasks[task_id] = priority
    ended = [t.reaches(task_id, "COMPLETED") for task_id in tasks]
    ended.sort(key=lambda task: task.started_at.ToNanoseconds())
    order = [tasks[task.id] for task in ended]
    last_high = max(index for index, priority in enumerate(order) if priority == 5)
    early = order[:last_high].count(1)
    # A worker may have prefetched a task; among several workers, starts may cross.
    t.holds("the higher priority starts first", early <= 2 * workers - 1, order)
