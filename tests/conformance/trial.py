"""One execution of a scenario: what it does, observes and asserts.

A failed assertion is noted and the scenario goes on; an unexpected gRPC error, or something that
does not happen in time, ends it.
"""

from __future__ import annotations

import json
import tempfile
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import grpc
from armonik.protogen.common import results_common_pb2 as results_pb
from armonik.protogen.common import sessions_common_pb2 as sessions_pb
from armonik.protogen.common import tasks_common_pb2 as tasks_pb
from armonik.protogen.common.objects_pb2 import TaskOptions
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from tests.conformance import ops as script_ops
from tests.conformance.client import FINAL_TASK_STATUSES, Cluster, Event, EventStream, status
from tests.conformance.normalise import Names
from tests.conformance.queries import RESULTS, SESSIONS, TASKS, string

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from tests.conformance.ops import Op

T = TypeVar("T")
OPEN_SESSION_STATUSES = frozenset({"RUNNING", "PAUSED", "CLOSED"})


class SkippedError(Exception):
    """The scenario cannot be judged here."""


class StuckError(Exception):
    """Something did not happen in time, or something else happened."""


@dataclass(frozen=True)
class Settings:
    """What the scenarios need to know about the deployment.

    Attributes:
        partition: Partition whose agents run the scripted worker.
        empty_partition: Partition without agent, if any.
        default_partition: Partition of the sessions that name none, if any.
        workers: Number of agents of ``partition``.
        counter_dir: Folder of the workers where ops are counted.
        skipped_tags: Tags of the scenarios, and parts of scenarios, to leave out.
    """

    partition: str
    empty_partition: str | None = None
    default_partition: str | None = None
    workers: int = 1
    timeout_s: float = 60.0
    counter_dir: str = f"{tempfile.gettempdir()}/armonik-conformance"
    skipped_tags: frozenset[str] = frozenset()


class Trial:
    """What a scenario works with: ``t`` in the ``scenarios_*`` modules."""

    def __init__(self, cluster: Cluster, settings: Settings) -> None:
        self.cluster = cluster
        self.settings = settings
        self.names = Names()
        self.observations: list[dict[str, Any]] = []
        self.mismatches: list[str] = []
        self.skipped_parts: list[str] = []
        self.judged = 0
        self._sessions: list[str] = []

    # Observations and assertions

    def see(self, name: str, observed: object) -> None:
        """Note something that the scenario does not judge."""
        self.observations.append({"name": name, "observed": self.names.clean(observed)})

    def equal(self, name: str, observed: object, expected: object) -> None:
        """Note ``observed``, which must equal ``expected``."""
        self._judge(name, observed, ok=observed == expected, expected=expected)

    def among(self, name: str, observed: object, *accepted: object) -> None:
        """Note ``observed``, which must equal one of ``accepted``."""
        self._judge(name, observed, ok=observed in accepted, expected={"any of": list(accepted)})

    def holds(self, name: str, claim: bool, observed: object = None) -> None:
        """Note ``observed`` (or the claim itself), for which ``claim`` must hold."""
        if observed is None:
            self._judge(name, claim, ok=claim, expected=True)
        else:
            self._judge(name, observed, ok=claim, expected="something else")

    def refused(
        self,
        name: str,
        codes: str | tuple[str, ...],
        call: Callable[..., object],
        *arguments: object,
        begins: str = "",
        contains: Iterable[str] = (),
    ) -> str:
        """The call must fail with one of ``codes``, or may succeed if ``OK`` is one; gives details.

        The texts are compared only when the tag ``core`` is not skipped.
        """
        accepted = (codes,) if isinstance(codes, str) else codes
        code, details = self.cluster.outcome(call, *arguments)
        wanted: list[str] = []
        if code != "OK" and "core" not in self.settings.skipped_tags:
            wanted = [text for text in contains if text not in details]
            if not details.startswith(begins):
                wanted.append(f"{begins}...")
        self._judge(
            name,
            {"code": code, "details": details},
            ok=code in accepted and not wanted,
            expected={"code": " or ".join(accepted), "details": wanted},
        )
        return details

    def part(self, tag: str) -> bool:
        """Whether to run the part of the scenario that has this tag."""
        missing = tag == "Q" and self.settings.empty_partition is None
        if tag not in self.settings.skipped_tags and not missing:
            return True
        if tag not in self.skipped_parts:
            self.skipped_parts.append(tag)
        return False

    def _judge(self, name: str, observed: object, *, ok: bool, expected: object) -> None:
        self.judged += 1
        clean = self.names.clean(observed)
        note: dict[str, Any] = {"name": name, "observed": clean}
        if not ok:
            note["expected"] = self.names.clean(expected)
            self.mismatches.append(f"{name}: observed {clean!r}, expected {note['expected']!r}")
        self.observations.append(note)

    # Sessions

    def options(self, **fields: Any) -> TaskOptions:
        """Options of the usual session, changed by ``fields``; ``max_duration`` in seconds."""
        usual: dict[str, Any] = {
            "max_duration": 60,
            "max_retries": 2,
            "priority": 1,
            "partition_id": self.settings.partition,
        }
        values = usual | fields
        seconds = values.pop("max_duration")
        message = TaskOptions(**values)
        if seconds is not None:
            message.max_duration.CopyFrom(Duration(seconds=seconds))
        return message

    def create_session(self, options: TaskOptions | None, partitions: Sequence[str]) -> str:
        """CreateSession as is."""
        request = sessions_pb.CreateSessionRequest(
            default_task_option=options, partition_ids=partitions
        )
        session_id: str = self.cluster.sessions.CreateSession(request).session_id
        self._sessions.append(session_id)
        self.names.label("session", session_id)
        return session_id

    def session(self, **options: Any) -> str:
        """New session on the partition of the scripted workers."""
        return self.create_session(self.options(**options), [self.settings.partition])

    def on_session(self, verb: str, session_id: str, **flags: bool) -> sessions_pb.SessionRaw:
        """``StopSubmission``, or ``Get``, ``Cancel``, ``Pause``, ``Resume``... a session."""
        rpc = verb if verb == "StopSubmission" else f"{verb}Session"
        request = getattr(sessions_pb, f"{rpc}Request")(session_id=session_id, **flags)
        return getattr(self.cluster.sessions, rpc)(request).session

    def count_sessions(self, *conditions: Message) -> int:
        """Number of sessions for which all of the conditions hold."""
        request = SESSIONS.page(SESSIONS.all(*conditions), "SESSION_ID")
        return int(self.cluster.sessions.ListSessions(request).total)

    # Results

    def unknown(self) -> str:
        """An ID that the control plane never gave."""
        identifier = str(uuid.uuid4())
        self.names.label("unknown", identifier)
        return identifier

    def metas(self, session_id: str, *names: str, manual_deletion: bool = False) -> list[str]:
        """New results without data, one for each name."""
        request = results_pb.CreateResultsMetaDataRequest(session_id=session_id)
        for name in names:
            request.results.add(name=name, manual_deletion=manual_deletion)
        found = [
            raw.result_id for raw in self.cluster.results.CreateResultsMetaData(request).results
        ]
        for result_id in found:
            self.names.label("result", result_id)
        return found

    def meta(self, session_id: str, name: str = "result") -> str:
        """A new result without data."""
        return self.metas(session_id, name)[0]

    def data(
        self, session_id: str, content: bytes, name: str = "data", kind: str = "result"
    ) -> str:
        """A new result with its data."""
        request = results_pb.CreateResultsRequest(session_id=session_id)
        request.results.add(name=name, data=content)
        result_id: str = self.cluster.results.CreateResults(request).results[0].result_id
        self.names.label(kind, result_id)
        return result_id

    def get_result(self, result_id: str) -> results_pb.ResultRaw:
        """GetResult."""
        request = results_pb.GetResultRequest(result_id=result_id)
        return self.cluster.results.GetResult(request).result

    def upload(self, session_id: str, result_id: str, *chunks: bytes) -> results_pb.ResultRaw:
        """UploadResultData: the ID, then each chunk."""
        message = results_pb.UploadResultDataRequest
        identifier = message.ResultIdentifier(session_id=session_id, result_id=result_id)
        stream = [message(id=identifier), *(message(data_chunk=chunk) for chunk in chunks)]
        return self.cluster.results.UploadResultData(iter(stream)).result

    def download(self, session_id: str, result_id: str) -> bytes:
        """DownloadResultData, whole."""
        request = results_pb.DownloadResultDataRequest(session_id=session_id, result_id=result_id)
        stream = self.cluster.results.DownloadResultData(request, timeout=self.settings.timeout_s)
        return b"".join(reply.data_chunk for reply in stream)

    def delete_data(
        self, session_id: str, *result_ids: str
    ) -> results_pb.DeleteResultsDataResponse:
        """DeleteResultsData."""
        request = results_pb.DeleteResultsDataRequest(session_id=session_id, result_id=result_ids)
        return self.cluster.results.DeleteResultsData(request)

    def import_data(
        self, session_id: str, opaque_ids: Mapping[str, bytes]
    ) -> Sequence[results_pb.ResultRaw]:
        """ImportResultsData: an opaque ID for each result ID."""
        request = results_pb.ImportResultsDataRequest(session_id=session_id)
        for result_id, opaque_id in opaque_ids.items():
            request.results.add(result_id=result_id, opaque_id=opaque_id)
        found: Sequence[results_pb.ResultRaw] = self.cluster.results.ImportResultsData(
            request
        ).results
        return found

    def results(self, *conditions: Message) -> list[results_pb.ResultRaw]:
        """Results for which all of the conditions hold, by ID."""
        request = RESULTS.page(RESULTS.all(*conditions), "RESULT_ID")
        return list(self.cluster.results.ListResults(request).results)

    def named(self, session_id: str, name: str) -> list[results_pb.ResultRaw]:
        """Results of a session with this name."""
        found = self.results(
            RESULTS.where("SESSION_ID", string(session_id)), RESULTS.where("NAME", string(name))
        )
        for raw in found:
            self.names.label("result", raw.result_id)
        return found

    def result_is(
        self, name: str, result_id: str, wanted: str, *, content: bytes | None = None
    ) -> results_pb.ResultRaw:
        """The result must have this status now, and this content."""
        raw = self.get_result(result_id)
        self.equal(f"{name}: status", status(raw), wanted)
        if content is not None:
            self.equal(f"{name}: content", self.download(raw.session_id, result_id), content)
        return raw

    def result_becomes(
        self, name: str, result_id: str, wanted: str, *, content: bytes | None = None
    ) -> results_pb.ResultRaw:
        """The result must get this status in time: a task ends before its results are aborted."""
        self.result_reaches(result_id, wanted)
        return self.result_is(name, result_id, wanted, content=content)

    # Tasks

    def payload(self, session_id: str, ops: Sequence[Op]) -> str:
        """A new result holding a script."""
        return self.data(session_id, script_ops.script(ops), "payload", "payload")

    def creation(
        self,
        session_id: str,
        ops: Sequence[Op] | None = None,
        *,
        payload: str | None = None,
        out: Sequence[str] = (),
        deps: Sequence[str] = (),
        options: TaskOptions | None = None,
    ) -> tasks_pb.SubmitTasksRequest.TaskCreation:
        """A task to submit, executing ``ops`` or the script in the result ``payload``."""
        return tasks_pb.SubmitTasksRequest.TaskCreation(
            payload_id=self.payload(session_id, ops or []) if payload is None else payload,
            expected_output_keys=out,
            data_dependencies=deps,
            task_options=options,
        )

    def submit(
        self,
        session_id: str,
        *creations: tasks_pb.SubmitTasksRequest.TaskCreation,
        options: TaskOptions | None = None,
    ) -> list[str]:
        """IDs of the submitted tasks."""
        request = tasks_pb.SubmitTasksRequest(
            session_id=session_id, task_options=options, task_creations=creations
        )
        found = [info.task_id for info in self.cluster.tasks.SubmitTasks(request).task_infos]
        for task_id in found:
            self.names.label("task", task_id)
        return found

    def task(self, session_id: str, ops: Sequence[Op] | None = None, **creation: Any) -> str:
        """Submit one task, see ``creation``."""
        return self.submit(session_id, self.creation(session_id, ops, **creation))[0]

    def get_task(self, task_id: str) -> tasks_pb.TaskDetailed:
        """GetTask."""
        return self.cluster.tasks.GetTask(tasks_pb.GetTaskRequest(task_id=task_id)).task

    def cancel(self, *task_ids: str) -> dict[str, str]:
        """CancelTasks; statuses of the answer by ID."""
        request = tasks_pb.CancelTasksRequest(task_ids=task_ids)
        return {task.id: status(task) for task in self.cluster.tasks.CancelTasks(request).tasks}

    def tasks(self, *conditions: Message) -> list[tasks_pb.TaskDetailed]:
        """Tasks for which all of the conditions hold, oldest first."""
        request = TASKS.page(TASKS.all(*conditions), "CREATED_AT")
        return list(self.cluster.tasks.ListTasksDetailed(request).tasks)

    def tasks_of(self, session_id: str) -> list[tasks_pb.TaskDetailed]:
        """Tasks of a session, oldest first."""
        return self.tasks(TASKS.where("SESSION_ID", string(session_id)))

    def subtask(self, result_id: str) -> tasks_pb.TaskDetailed:
        """Task that owns a result."""
        task_id = self.get_result(result_id).owner_task_id
        self.names.label("task", task_id)
        return self.get_task(task_id)

    # Waiting

    def poll(
        self,
        what: str,
        read: Callable[[], T],
        done: Callable[[T], bool],
        timeout_s: float | None = None,
    ) -> T:
        """Read until ``done`` holds."""
        limit = self.settings.timeout_s if timeout_s is None else timeout_s
        deadline = time.monotonic() + limit
        while not done(value := read()):
            if time.monotonic() > deadline:
                raise StuckError(f"{what}: still {self._shown(value)!r} after {limit:g} s")
            time.sleep(0.05)
        return value

    def _shown(self, value: object) -> object:
        """What to say of something that is waited for: the status of objects."""
        if isinstance(value, list):
            return [self._shown(item) for item in value]
        if isinstance(value, Message) and "status" in value.DESCRIPTOR.fields_by_name:
            return status(value)
        return self.names.clean(value)

    def reaches(self, task_id: str, *statuses: str, times: float = 1.0) -> tasks_pb.TaskDetailed:
        """Wait until a task has one of the statuses; ``times`` multiplies the usual patience."""
        wanted = frozenset(statuses)
        goal = "end" if wanted == FINAL_TASK_STATUSES else f"become {' or '.join(statuses)}"
        what = f"{self.names.text(task_id)} to {goal}"
        task = self.poll(
            what,
            lambda: self.get_task(task_id),
            lambda task: status(task) in wanted | FINAL_TASK_STATUSES,
            self.settings.timeout_s * times,
        )
        if status(task) not in wanted:
            error = self.names.text(task.output.error)
            raise StuckError(f"{what}: it ended {status(task)} {error}")
        return task

    def ends(
        self, task_id: str, wanted: str = "COMPLETED", times: float = 1.0
    ) -> tasks_pb.TaskDetailed:
        """Wait until a task ends: it must end with this status."""
        task = self.reaches(task_id, *FINAL_TASK_STATUSES, times=times)
        found = status(task)
        if found != wanted and task.output.error:
            found = f"{found}: {task.output.error}"
        self.equal(f"{self.names.text(task_id)} ends", found, wanted)
        return task

    def all_end(self, name: str, task_ids: Iterable[str], wanted: str = "COMPLETED") -> None:
        """Wait until tasks end: all of them must end with this status."""
        found = {status(self.reaches(one, *FINAL_TASK_STATUSES)) for one in task_ids}
        self.equal(f"{name}: ends", found, {wanted})

    def result_reaches(self, result_id: str, wanted: str) -> results_pb.ResultRaw:
        """Wait until a result has this status."""
        what = f"{self.names.text(result_id)} to become {wanted}"
        return self.poll(
            what, lambda: self.get_result(result_id), lambda raw: status(raw) == wanted
        )

    def stays(
        self, name: str, read: Callable[[], object], expected: object, seconds: float
    ) -> None:
        """What ``read`` gives must equal ``expected`` now and for some seconds."""
        deadline = time.monotonic() + seconds
        while (observed := read()) == expected and time.monotonic() < deadline:
            time.sleep(0.1)
        self.equal(f"{name}, for {seconds:g} s", observed, expected)

    def attempts(self, task_id: str, count: int, times: float = 1.0) -> list[tasks_pb.TaskDetailed]:
        """Wait until the last attempt of a task has ended; there must be ``count`` attempts."""

        def read() -> list[tasks_pb.TaskDetailed]:
            return self.tasks(TASKS.where("INITIAL_TASK_ID", string(task_id)))

        def ended(found: list[tasks_pb.TaskDetailed]) -> bool:
            last = {status(task) for task in found} - {"RETRIED"}
            return bool(found) and bool(last) and last <= FINAL_TASK_STATUSES

        what = f"the attempts of {self.names.text(task_id)} to end"
        found = self.poll(what, read, ended, self.settings.timeout_s * times)
        found.sort(key=lambda task: len(task.retry_of_ids))
        self.equal("number of attempts", len(found), count)
        return found

    def report(self, result_id: str) -> dict[str, Any]:
        """What a task reported in this result, see ``ops.report``."""
        session_id = self.get_result(result_id).session_id
        report: dict[str, Any] = json.loads(self.download(session_id, result_id))
        return report

    def counter(self) -> str:
        """Path of a new counter of ops, on the machine of the worker."""
        return f"{self.settings.counter_dir}/{uuid.uuid4()}"

    # Events

    def events(self, session_id: str, **request: Any) -> EventStream:
        """Subscribe to the events of a session, see ``EventStream``."""
        return EventStream(self.cluster, session_id, **request)

    def see_events(self, name: str, events: Iterable[Event]) -> None:
        """Note events: for each task and result, what changed, in order and without repetition."""
        lives: dict[str, list[str]] = {}
        for event in events:
            life = lives.setdefault(self.names.text(event.subject), [])
            step = f"{event.kind} {event.state}".strip()
            if not life or life[-1] != step:
                life.append(step)
        self.see(name, dict(sorted(lives.items())))

    # End

    def close(self) -> None:
        """Cancel the sessions that the scenario left open, so that its tasks leave the workers."""
        for session_id in self._sessions:
            with suppress(grpc.RpcError):  # the scenario may have deleted it
                if status(self.on_session("Get", session_id)) in OPEN_SESSION_STATUSES:
                    self.on_session("Cancel", session_id)


def is_set(message: Message, *fields: str) -> dict[str, bool]:
    """For each field, whether it is set: observes times without their values."""
    return {field: message.HasField(field) for field in fields}


def as_dict(message: Message) -> dict[str, Any]:
    """A message as the scripted worker reports it."""
    fields: dict[str, Any] = MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return fields


def instant(message: Message, field: str) -> float:
    """A timestamp, in seconds."""
    value = getattr(message, field)
    return float(value.ToNanoseconds()) / 1e9
