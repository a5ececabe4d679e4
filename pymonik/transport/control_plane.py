"""One method for each request that a client makes; deadlines, retries, our errors.

What may be done twice without harm is repeated while nobody answers (`_retried`); what may not, as
a submission, is asked once (`_once`), and whoever asked finds out whether it was carried out.
"""

from __future__ import annotations

import copy
import functools
import itertools
import logging
import math
import time
from functools import partial
from typing import IO, TYPE_CHECKING, Any, TypeVar

import msgspec
from armonik.protogen.client import (
    events_service_pb2,
    partitions_service_pb2,
    results_service_pb2,
    sessions_service_pb2,
    tasks_service_pb2,
)
from armonik.protogen.common import (
    events_common_pb2,
    objects_pb2,
    partitions_common_pb2,
    partitions_fields_pb2,
    partitions_filters_pb2,
    results_common_pb2,
    sessions_common_pb2,
    sort_direction_pb2,
    tasks_common_pb2,
)

from pymonik.content import objects
from pymonik.errors import ControlPlaneError, UnavailableError
from pymonik.transport import messages, streams
from pymonik.transport.grpc_errors import translated
from pymonik.transport.listing import Listing
from pymonik.transport.methods import Stub
from pymonik.transport.news import News, of_event
from pymonik.wire import containers
from pymonik.wire.call import KEPT_PREFIXES
from pymonik.wire.embedded import (
    KEEPS_PAYLOADS,
    RESULTS,
    SMALL_DATA,
    DirectRequest,
    ended_decoder,
    small_data_decoder,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pymonik.options import TaskOptions
    from pymonik.transport.messages import NewTask, ResultInfo, TaskInfo
    from pymonik.wire.containers import Buffer

_T = TypeVar("_T")
_log = logging.getLogger(__name__)

IDS_PER_LIST = 500  # ids of one list request: a filter of many conditions is slow in MongoDB
_FIRST_PAUSE_S = 0.05  # before the second attempt at a request; each pause is twice the one before
_LONGEST_PAUSE_S = 2.0
_STREAM_S = 3600.0  # deadline of the stream of one value, which is as long as the value is large
_SUBMIT_TASKS = "/armonik.api.grpc.v1.tasks.Tasks/SubmitTasks"
_RESULTS = "/armonik.api.grpc.v1.results.Results"
_USUAL_SIZE = 16  # workers of a partition that does not say how many


class ControlPlane:
    """The control plane behind a channel. Thread-safe.

    Every method raises `ControlPlaneError` or one of its subclasses.

    Attributes:
        endpoint: For messages.
        takes_payloads: Whether tasks can be submitted together with their payloads.
        distance_s: Seconds that the quickest request took so far, there and back.
    """

    def __init__(
        self,
        channel: Any,
        *,
        endpoint: str,
        timeout_s: float = 60.0,
        patience_s: float = 30.0,
        is_direct: bool = False,
    ) -> None:
        """Nothing is requested before `connect`.

        Args:
            channel: Of gRPC, or a `DirectChannel`.
            endpoint: For messages.
            timeout_s: Seconds in which a request must be answered.
            patience_s: Seconds for which a request is repeated while nobody answers.
            is_direct: Whether it is a `DirectChannel`.
        """
        self.endpoint = endpoint
        self._channel = channel
        self.takes_payloads = self._is_direct = is_direct
        self.distance_s = math.inf
        self._timeout_s = timeout_s
        self._patience_s = patience_s
        self._last_options: tuple[TaskOptions, Any] | None = None
        self._sessions = Stub(channel, sessions_service_pb2)
        self._tasks = Stub(channel, tasks_service_pb2)
        self._results = Stub(channel, results_service_pb2)
        self._events = Stub(channel, events_service_pb2)
        self._partitions = Stub(channel, partitions_service_pb2)
        self._small_data = channel.unary_unary(SMALL_DATA)
        self._told = channel.unary_stream(RESULTS)
        # Data goes past protobuf, as bytes.
        self._upload = channel.stream_unary(f"{_RESULTS}/UploadResultData")
        self._download = channel.unary_stream(f"{_RESULTS}/DownloadResultData")

    def impatient(self) -> ControlPlane:
        """A copy each of whose requests fails at once: for callers that repeat them themselves."""
        one = copy.copy(self)
        one._patience_s = 0.0
        return one

    # -- connection ----------------------------------------------------------------------------

    @functools.cached_property
    def lists(self) -> Listing:
        """Lists for people: asked once, and soon given up."""
        return Listing(self._channel)

    def rest(self) -> None:
        """Little will be asked from now on: keep no connection for it where that costs much."""
        if self._is_direct:
            self._channel.rest()

    def connect(self, timeout_s: float) -> int:
        """Make the first request; gives the size of a chunk of data, in bytes.

        Raises:
            UnavailableError: No answer; names the endpoint and what to look at.
        """
        end = time.monotonic() + timeout_s
        while True:
            left = max(0.05, end - time.monotonic())
            try:
                with translated("connect"):
                    answer = self._results.GetServiceConfiguration(
                        objects_pb2.Empty(), timeout=left
                    )
            except UnavailableError as error:
                if time.monotonic() + 0.2 >= end:
                    raise UnavailableError(
                        "connect",
                        f"no control plane answers at {self.endpoint}: {error.detail}. "
                        f"{_what_to_look_at(self.endpoint)}",
                    ) from None
                time.sleep(0.1)  # between two attempts: the server may be starting
            else:
                return int(answer.data_chunk_max_size)

    # -- session -------------------------------------------------------------------------------

    def create_session(self, options: TaskOptions, partitions: Sequence[str]) -> str:
        """A new session; without partitions in the cluster's default one."""
        request = sessions_common_pb2.CreateSessionRequest(
            default_task_option=messages.session_options(options), partition_ids=partitions
        )
        return str(self._once("CreateSession", self._sessions.CreateSession, request).session_id)

    def session_partitions(self, session_id: str) -> list[str]:
        """The partitions that tasks of the session may name."""
        request = sessions_common_pb2.GetSessionRequest(session_id=session_id)
        answer = self._retried("GetSession", self._sessions.GetSession, request)
        return list(answer.session.partition_ids)

    def close_session(self, session_id: str) -> None:
        """Take no more tasks."""
        request = sessions_common_pb2.CloseSessionRequest(session_id=session_id)
        self._once("CloseSession", self._sessions.CloseSession, request)

    def cancel_session(self, session_id: str) -> None:
        """Stop everything."""
        request = sessions_common_pb2.CancelSessionRequest(session_id=session_id)
        self._once("CancelSession", self._sessions.CancelSession, request)

    def delete_session(self, session_id: str) -> None:
        """Forget a session with everything in it."""
        request = sessions_common_pb2.DeleteSessionRequest(session_id=session_id)
        self._once("DeleteSession", self._sessions.DeleteSession, request)

    def has_running_tasks(self, session_id: str) -> bool:
        """Whether a worker has a task of the session."""
        request = messages.tasks_of_session(session_id)
        answer = self._once("CountTasksByStatus", self._tasks.CountTasksByStatus, request)
        return any(count.status in messages.HELD for count in answer.status)

    def list_partitions(self) -> list[str]:
        """The partitions of the cluster."""
        field = partitions_fields_pb2.PartitionField(
            partition_raw_field=partitions_fields_pb2.PartitionRawField(
                field=partitions_fields_pb2.PARTITION_RAW_ENUM_FIELD_ID
            )
        )
        request = partitions_common_pb2.ListPartitionsRequest(
            page_size=1000,
            filters=partitions_filters_pb2.Filters(),
            sort=partitions_common_pb2.ListPartitionsRequest.Sort(
                field=field, direction=sort_direction_pb2.SORT_DIRECTION_ASC
            ),
        )
        answer = self._retried("ListPartitions", self._partitions.ListPartitions, request)
        return [partition.id for partition in answer.partitions]

    def partition_size(self, partition_id: str) -> int:
        """How many workers the partition may have; a guess where nobody says."""
        request = partitions_common_pb2.GetPartitionRequest(id=partition_id)
        try:
            answer = self._retried("GetPartition", self._partitions.GetPartition, request)
        except ControlPlaneError as error:  # the request may be forbidden
            _log.debug("the size of partition %s is not known: %s", partition_id, error)
            return _USUAL_SIZE
        return int(answer.partition.pod_max) or _USUAL_SIZE

    # -- results -------------------------------------------------------------------------------

    def create_results_metadata(self, session_id: str, names: Iterable[str]) -> list[str]:
        """Results without data; their ids, in order."""
        # Repeated without knowing whether the first attempt was carried out: at worst it leaves
        # results behind that no task is going to have for an output.
        answer = self._retried(
            "CreateResultsMetaData",
            self._results.CreateResultsMetaData,
            _results_without_data(session_id, names),
        )
        return [result.result_id for result in answer.results]

    def begin_results_metadata(
        self, session_id: str, names: Iterable[str]
    ) -> Callable[[], list[str]]:
        """Begin to create results; what this gives waits for their ids, once."""
        method = self._results.CreateResultsMetaData
        answer = method.future(_results_without_data(session_id, names), timeout=self._timeout_s)

        def wait() -> list[str]:
            with translated("CreateResultsMetaData"):
                return [result.result_id for result in answer.result().results]

        return wait

    def create_results(self, session_id: str, items: Iterable[tuple[str, bytes]]) -> list[str]:
        """Results with their (name, data); their ids, in order.

        What pymonik keeps for itself is for manual deletion: no purge takes it.
        """
        create = results_common_pb2.CreateResultsRequest.ResultCreate
        request = results_common_pb2.CreateResultsRequest(
            session_id=session_id,
            results=[
                create(name=name, data=data, manual_deletion=name.startswith(KEPT_PREFIXES))
                for name, data in items
            ],
        )
        answer = self._retried("CreateResults", self._results.CreateResults, request)
        return [result.result_id for result in answer.results]

    def upload(
        self,
        session_id: str,
        result_id: str,
        segments: Callable[[], Iterable[Buffer]],
        chunk_bytes: int,
    ) -> None:
        """Stream the data of a result, in messages of ``chunk_bytes`` each.

        Args:
            session_id: Of the result.
            result_id: Of the result.
            segments: Gives the data, anew for each attempt.
            chunk_bytes: What one message holds.
        """
        message = results_common_pb2.UploadResultDataRequest
        identity = message.ResultIdentifier(session_id=session_id, result_id=result_id)

        def stream() -> Iterator[bytes]:
            yield message(id=identity).SerializeToString()
            for chunk in objects.cut(segments(), chunk_bytes):
                yield streams.encode(streams.UPLOAD_FIELD, chunk)

        def attempt() -> None:
            self._upload(stream(), timeout=_STREAM_S)

        self._attempts("UploadResultData", attempt)

    def import_data(self, session_id: str, items: Iterable[tuple[str, str]]) -> None:
        """Announce data that lies in the object storage: (result id, opaque id)."""
        pair = results_common_pb2.ImportResultsDataRequest.ResultOpaqueId
        request = results_common_pb2.ImportResultsDataRequest(
            session_id=session_id,
            results=[pair(result_id=id_, opaque_id=opaque.encode()) for id_, opaque in items],
        )
        self._once("ImportResultsData", self._results.ImportResultsData, request)

    def download(
        self, session_id: str, result_id: str, most_bytes: int | None = None
    ) -> memoryview | None:
        """The data of a result, in memory that may be written to.

        Args:
            session_id: Of the result.
            result_id: Of the result.
            most_bytes: Gives ``None`` for a container that says that it is larger.

        Raises:
            ControlPlaneError: There are no data, or not yet.
        """
        request = results_common_pb2.DownloadResultDataRequest(
            session_id=session_id, result_id=result_id
        ).SerializeToString()

        def attempt() -> memoryview | None:
            answers = self._download(request, timeout=_STREAM_S)
            pieces = map(_downloaded, answers)
            first = next(pieces, b"")
            if not first:  # what we store is never empty
                raise ControlPlaneError("DownloadResultData", "the result has no data yet")
            if most_bytes is not None and (containers.size_of(first) or 0) > most_bytes:
                answers.cancel()
                return None
            return streams.gather(itertools.chain((first,), pieces))

        return self._attempts("DownloadResultData", attempt)

    def download_into(self, session_id: str, result_id: str, file: IO[bytes]) -> None:
        """Write the data of a result to a file, piece by piece; an attempt begins at its start.

        Raises:
            ControlPlaneError: There are no data, or not yet.
        """
        request = results_common_pb2.DownloadResultDataRequest(
            session_id=session_id, result_id=result_id
        ).SerializeToString()

        def attempt() -> None:
            file.seek(0)
            file.truncate()
            for answer in self._download(request, timeout=_STREAM_S):
                file.write(_downloaded(answer))
            if not file.tell():  # what we store is never empty
                raise ControlPlaneError("DownloadResultData", "the result has no data yet")
            file.flush()

        self._attempts("DownloadResultData", attempt)

    def small_data(self, ids: Sequence[str]) -> list[bytes | None]:
        """The data of completed results where they are small and this control plane tells them."""
        if not self._is_direct:
            return [None] * len(ids)
        found: list[bytes | None] = []
        for part in _parts(ids):
            answer = self._retried("SmallData", self._small_data, msgspec.msgpack.encode(part))
            found += small_data_decoder.decode(answer)
        return found

    def delete_data(self, ids: Sequence[str]) -> None:
        """Delete the data of results; nothing can be read of them any more."""
        for part in _parts(ids):
            request = results_common_pb2.DeleteResultsDataRequest(result_id=part)
            self._retried("DeleteResultsData", self._results.DeleteResultsData, request)

    def list_results(self, ids: Sequence[str]) -> dict[str, ResultInfo]:
        """What is known of these results; those that do not exist are left out."""
        found: dict[str, ResultInfo] = {}
        for part in _parts(ids):
            request = messages.results_by_id(part, page=0)
            answer = self._retried("ListResults", self._results.ListResults, request)
            found.update((raw.result_id, messages.result_info(raw)) for raw in answer.results)
        return found

    # -- tasks ---------------------------------------------------------------------------------

    def submit_tasks(
        self,
        session_id: str,
        options: TaskOptions,
        tasks: Sequence[NewTask],
        *,
        keeps_payloads: bool = False,
    ) -> list[str]:
        """Submit tasks; gives their ids in order. Not tried twice: they would run twice.

        Their payloads can be data if `takes_payloads`; then their outputs need not exist. ArmoniK
        keeps payloads in any case; the embedded cluster does where it is asked to.
        """
        request = self._submission(session_id, options, tasks)
        method = self._tasks.SubmitTasks
        if self._is_direct:
            outputs = [task.name for task in tasks]
            metadata = [KEEPS_PAYLOADS] if keeps_payloads else []
            method = partial(method, metadata=metadata, payloads=_payloads(tasks), outputs=outputs)
        return _task_ids(self._once("SubmitTasks", method, request))

    def direct_submission(
        self,
        session_id: str,
        options: TaskOptions,
        tasks: Sequence[NewTask],
        *,
        keeps_payloads: bool,
    ) -> DirectRequest:
        """A submission as it goes over the direct socket; see `submitted` for its answer."""
        message = self._submission(session_id, options, tasks).SerializeToString()
        outputs = [task.name for task in tasks]
        metadata = [KEEPS_PAYLOADS] if keeps_payloads else []
        return DirectRequest(_SUBMIT_TASKS, message, metadata, _payloads(tasks), outputs)

    def submitted(self, message: bytes) -> list[str]:
        """The ids of tasks in the answer to `direct_submission`."""
        return _task_ids(tasks_common_pb2.SubmitTasksResponse.FromString(message))

    def _submission(
        self, session_id: str, options: TaskOptions, tasks: Sequence[NewTask]
    ) -> tasks_common_pb2.SubmitTasksRequest:
        # One message for each set of options. By identity, since tasks share theirs; the tasks hold
        # them, so no id is given to other options meanwhile.
        own: dict[int, Any] = {}
        for task in tasks:
            if task.options is not None and id(task.options) not in own:
                own[id(task.options)] = messages.task_options(task.options)
        return tasks_common_pb2.SubmitTasksRequest(
            session_id=session_id,
            task_options=self._options_message(options),
            task_creations=[messages.task_creation(one, own.get(id(one.options))) for one in tasks],
        )

    def _options_message(self, options: TaskOptions) -> Any:
        """One message for requests that follow each other with the same options."""
        last = self._last_options
        if last is None or last[0] is not options:
            self._last_options = last = options, messages.task_options(options)
        return last[1]

    def list_tasks(self, ids: Sequence[str]) -> dict[str, TaskInfo]:
        """What is known of these tasks; those that do not exist are left out."""
        found: dict[str, TaskInfo] = {}
        for part in _parts(ids):
            request = messages.tasks_by_id(part, page=0)
            answer = self._retried("ListTasks", self._tasks.ListTasks, request)
            found.update((raw.id, messages.task_info(raw)) for raw in answer.tasks)
        return found

    def cancel_tasks(self, ids: Sequence[str]) -> None:
        """Cancel those that have not ended."""
        for part in _parts(ids):
            request = tasks_common_pb2.CancelTasksRequest(task_ids=part)
            self._retried("CancelTasks", self._tasks.CancelTasks, request)

    # -- events --------------------------------------------------------------------------------

    def results(self, session_id: str) -> News:
        """How the results of a session end, from now on."""
        if self._is_direct:
            return News(self._told(msgspec.msgpack.encode(session_id)), ended_decoder.decode)
        request = events_common_pb2.EventSubscriptionRequest(
            session_id=session_id,
            returned_events=[events_common_pb2.EVENTS_ENUM_RESULT_STATUS_UPDATE],
        )
        return News(self._events.GetEvents(request), of_event)

    def live_events(self, session_id: str) -> Any:
        """A stream of events of results that tell of running tasks."""
        return self._events.GetEvents(messages.live_subscription(session_id))

    # -- attempts ------------------------------------------------------------------------------

    def _once(self, operation: str, method: Any, request: Any) -> Any:
        began = time.monotonic()
        with translated(operation):
            answer = method(request, timeout=self._timeout_s)
        # Threads may overwrite each other's: any of their values is about as good.
        self.distance_s = min(self.distance_s, time.monotonic() - began)
        return answer

    def _retried(self, operation: str, method: Any, request: Any) -> Any:
        return self._attempts(operation, lambda: self._once(operation, method, request))

    def _attempts(self, operation: str, attempt: Callable[[], _T]) -> _T:
        """Again after a pause while the control plane cannot be reached."""
        end = time.monotonic() + self._patience_s
        pause_s = _FIRST_PAUSE_S
        while True:
            outcome = self._attempt(operation, attempt)
            if not isinstance(outcome, UnavailableError):
                return outcome
            if time.monotonic() + pause_s >= end:
                raise outcome
            _log.debug("%s is tried again: %s", operation, outcome.detail)
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _attempt(self, operation: str, attempt: Callable[[], _T]) -> _T | UnavailableError:
        try:
            with translated(operation):
                return attempt()
        except UnavailableError as error:
            return error


def _what_to_look_at(endpoint: str) -> str:
    if endpoint.startswith("unix:"):
        return "Is it running, and as the same user as this program?"
    return "Is it running, is the port right, and is it http or https?"


def _results_without_data(session_id: str, names: Iterable[str]) -> Any:
    create = results_common_pb2.CreateResultsMetaDataRequest.ResultCreate
    return results_common_pb2.CreateResultsMetaDataRequest(
        session_id=session_id,
        results=[
            create(name=name, manual_deletion=name.startswith(KEPT_PREFIXES)) for name in names
        ],
    )


def _payloads(tasks: Sequence[NewTask]) -> list[bytes]:
    return [task.payload for task in tasks if isinstance(task.payload, bytes)]


def _task_ids(answer: Any) -> list[str]:
    return [info.task_id for info in answer.task_infos]


def _downloaded(answer: bytes) -> Buffer:
    chunk = streams.decode(streams.DOWNLOAD_FIELD, answer)
    if chunk is not None:
        return chunk
    return bytes(results_common_pb2.DownloadResultDataResponse.FromString(answer).data_chunk)


def _parts(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), IDS_PER_LIST):
        yield ids[start : start + IDS_PER_LIST]
