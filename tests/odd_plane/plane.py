"""A control plane in front of another: gRPC on both sides, and messages as real ones are."""

from __future__ import annotations

import collections
import queue
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc
from armonik.protogen.common.events_common_pb2 import EventSubscriptionResponse
from armonik.protogen.common.partitions_common_pb2 import GetPartitionResponse
from armonik.protogen.common.result_status_pb2 import (
    RESULT_STATUS_ABORTED,
    RESULT_STATUS_COMPLETED,
    RESULT_STATUS_CREATED,
)
from armonik.protogen.common.results_common_pb2 import (
    DownloadResultDataRequest,
    ListResultsResponse,
)

_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),  # as Kestrel, which has no bound
]
_STREAMED = "UploadResultData"  # the only method whose requests are a stream
_CANCELS = frozenset({"CancelTasks", "CancelSession"})
_FINAL = frozenset({RESULT_STATUS_COMPLETED, RESULT_STATUS_ABORTED})
_LONGEST_S = 1e6
_GATHER_S = 0.02  # events that come so close to each other may change places


@dataclass(frozen=True)
class Oddities:
    """What a real control plane does now and then.

    Attributes:
        late_s: Rows and data are so much behind the events, which come before the row.
        is_doubled: Each event comes twice.
        is_shuffled: Events come in any order.
        pod_max: What partitions say of the workers they may have.
        cancel_s: How long a request to cancel takes.
        most_bytes: Of a unary request: larger ones are refused (30 MB is Kestrel's default).
    """

    late_s: float = 0.0
    is_doubled: bool = False
    is_shuffled: bool = False
    pod_max: int | None = None
    cancel_s: float = 0.0
    most_bytes: int = 30_000_000


class Plane(grpc.GenericRpcHandler):
    """Forwards each method as a stream of bytes both ways, which is what a unary one is too.

    Args:
        target: ``host:port`` or ``unix:/path``.
        oddities: What it does to messages.
        seed: Of the order of events.

    Attributes:
        counts: Requests by name.
        is_away: Whether every request is told that the control plane is shutting down.
    """

    def __init__(self, target: str, oddities: Oddities = Oddities(), seed: int = 0) -> None:
        self._target = target.removeprefix("http://")
        self._oddities = oddities
        self._rng = random.Random(seed)
        self._lock = threading.Lock()
        self._ended_at: dict[str, float] = {}  # when the end of a result was first seen here
        self._streams: set[Any] = set()
        self.counts: collections.Counter[str] = collections.Counter()
        self.is_away = False
        self.endpoint = ""

    def __enter__(self) -> Plane:
        options = [*_OPTIONS, ("grpc.default_authority", "localhost")]
        self._channel = grpc.insecure_channel(self._target, options)
        self._threads = ThreadPoolExecutor(128, thread_name_prefix="plane")
        self._server = grpc.server(self._threads, handlers=[self], options=_OPTIONS)
        port = self._server.add_insecure_port("localhost:0")
        self._server.start()
        self.endpoint = f"http://localhost:{port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(None).wait()
        self._channel.close()
        self._threads.shutdown()

    def go_away(self) -> None:
        """Answer nobody from now on, and cut what is under way."""
        self.is_away = True
        with self._lock:
            streams = list(self._streams)
        for stream in streams:
            stream.cancel()

    def come_back(self) -> None:
        """Answer again."""
        self.is_away = False

    # -- requests ------------------------------------------------------------------------------

    def service(self, details: Any) -> Any:
        name = details.method.rpartition("/")[2]

        def forward(requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
            with self._lock:
                self.counts[name] += 1
            self._check_away(context)
            if name != _STREAMED:
                requests = iter([self._checked(name, next(requests), context)])
            channel: Any = self._channel
            call = channel.stream_stream(details.method)(requests, timeout=_left(context))
            if not context.add_callback(call.cancel):
                call.cancel()
            with self._lock:
                self._streams.add(call)
            try:
                context.send_initial_metadata(call.initial_metadata())  # a silent stream is up
                yield from self._answers(name, call)
            except grpc.RpcError as error:
                self._check_away(context)
                code = getattr(error, "code", None)
                if code is not None:  # else it is the client that has gone
                    context.abort(code(), error.details())
            finally:
                with self._lock:
                    self._streams.discard(call)

        return grpc.stream_stream_rpc_method_handler(forward)

    def _check_away(self, context: Any) -> None:
        if self.is_away:
            context.abort(grpc.StatusCode.UNAVAILABLE, "the control plane is shutting down")

    def _checked(self, name: str, request: bytes, context: Any) -> bytes:
        if len(request) > self._oddities.most_bytes:
            context.abort(grpc.StatusCode.UNKNOWN, "Exception was thrown by handler.")
        if name in _CANCELS:
            time.sleep(self._oddities.cancel_s)
        if name == "DownloadResultData":
            result_id = DownloadResultDataRequest.FromString(request).result_id
            if self._is_hidden(result_id):
                context.abort(grpc.StatusCode.NOT_FOUND, "Result data was not found")
        return request

    def _answers(self, name: str, call: Any) -> Iterator[bytes]:
        if name == "GetEvents":
            yield from self._events(call)
        elif name == "ListResults" and self._oddities.late_s:
            yield from map(self._late_rows, call)
        elif name == "GetPartition" and self._oddities.pod_max:
            yield from map(self._many_pods, call)
        else:
            yield from call

    def _many_pods(self, message: bytes) -> bytes:
        answer = GetPartitionResponse.FromString(message)
        answer.partition.pod_max = self._oddities.pod_max or 0
        return bytes(answer.SerializeToString())

    # -- late ----------------------------------------------------------------------------------

    def _is_hidden(self, result_id: str) -> bool:
        ended_at = self._ended_at.get(result_id)
        return ended_at is not None and time.monotonic() - ended_at < self._oddities.late_s

    def _late_rows(self, message: bytes) -> bytes:
        answer = ListResultsResponse.FromString(message)
        for row in answer.results:
            if row.status in _FINAL:
                self._ended_at.setdefault(row.result_id, time.monotonic())
                if self._is_hidden(row.result_id):
                    row.status = RESULT_STATUS_CREATED
                    row.ClearField("completed_at")
        return bytes(answer.SerializeToString())

    # -- events --------------------------------------------------------------------------------

    def _events(self, call: Any) -> Iterator[bytes]:
        """Events as they come, or those that are close to each other together, in any order."""
        arrived: queue.SimpleQueue[bytes | BaseException | None] = queue.SimpleQueue()

        def listen() -> None:
            try:
                for message in call:
                    arrived.put(message)
                arrived.put(None)
            except grpc.RpcError as error:
                arrived.put(error)

        threading.Thread(target=listen, name="plane-events", daemon=True).start()
        while True:
            messages = self._together(arrived)
            for message in messages:
                if message is None:
                    return
                if isinstance(message, BaseException):
                    raise message
                yield message

    def _together(self, arrived: queue.SimpleQueue[Any]) -> list[Any]:
        first = arrived.get()
        self._note_end(first)
        if not (self._oddities.is_shuffled or self._oddities.is_doubled):
            return [first]
        until = time.monotonic() + _GATHER_S
        found = [first]
        while (left := until - time.monotonic()) > 0 and isinstance(found[-1], bytes):
            try:
                found.append(arrived.get(timeout=left))
            except queue.Empty:
                break
            self._note_end(found[-1])
        messages = [one for one in found if isinstance(one, bytes)]
        if self._oddities.is_doubled:
            messages += messages
        if self._oddities.is_shuffled:
            self._rng.shuffle(messages)
        return [*messages, *(one for one in found if not isinstance(one, bytes))]

    def _note_end(self, message: Any) -> None:
        if self._oddities.late_s and isinstance(message, bytes):
            update = EventSubscriptionResponse.FromString(message).result_status_update
            if update.status in _FINAL:
                self._ended_at.setdefault(update.result_id, time.monotonic())


def _left(context: Any) -> float | None:
    left = context.time_remaining()
    # Without a deadline some versions give a number that none of them takes back.
    return None if left is None or left > _LONGEST_S else float(left)
