"""`TaskAgent`: the requests of one running task to ArmoniK's agent.

The agent accepts them only with the token of the attempt, and keeps what they ask for until the
attempt has ended well.
"""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import grpc
from armonik.protogen.common import agent_common_pb2 as pb

from pymonik.executor.agent import DESCRIBE, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

logger = logging.getLogger(__name__)

REQUEST_BYTES = 2_000_000  # of one request; the agent has gRPC's limit of 4 MiB
REQUEST_ITEMS = 1_000  # results or tasks of one request
REQUEST_TIMEOUT_S = 60.0  # the agent answers at once: without an answer, it is gone

_REQUESTS: dict[str, Any] = {
    "SubmitTasks": pb.SubmitTasksRequest,
    "NotifyResultData": pb.NotifyResultDataRequest,
    "CreateResultsMetaData": pb.CreateResultsMetaDataRequest,
    "CreateResults": pb.CreateResultsRequest,
    "GetResourceData": pb.DataRequest,
}

T = TypeVar("T")


class AgentError(Exception):
    """The agent refused a request, or could not be reached; the task may be tried again."""


class TaskAgent:
    """Creates results and subtasks for one attempt at a task.

    The agent keeps all of it until the task has ended well: after a failure none of it existed.

    Args:
        stub: Of the Agent service.
        request: The `ProcessRequest` of the attempt.

    Attributes:
        given: Results that the function itself has sent or had tasks promise.
    """

    def __init__(self, stub: Any, request: Any) -> None:
        self._stub = stub
        self._request = request
        self.given: set[str] = set()
        self._token = request.communication_token
        self._session_id = request.session_id
        self._folder = Path(request.data_folder)

    def create(self, names: Sequence[str]) -> list[str]:
        """New results, in the order of ``names``: their ids."""
        ids: list[str] = []
        for batch in batches(names, lambda name: len(name.encode())):
            request = pb.CreateResultsMetaDataRequest(
                communication_token=self._token, session_id=self._session_id
            )
            for name in batch:
                request.results.add(name=name)
            ids += [one.result_id for one in self._ask("CreateResultsMetaData", request).results]
        return ids

    def write(self, result_id: str, data: bytes | None, path: str | None) -> None:
        """Put the data of a result, given as bytes or as a file, where the agent reads them."""
        target = self._folder / result_id
        if path is None:
            target.write_bytes(data or b"")
            return
        try:
            os.replace(path, target)  # noqa: PTH105 - from a name to a path
        except OSError:  # the file lies on another file system
            shutil.move(path, target)

    def store(self, name: str, data: bytes) -> None:
        """A new result that is there at once, of a few hundred bytes."""
        request = pb.CreateResultsRequest(
            communication_token=self._token, session_id=self._session_id
        )
        request.results.add(name=name, data=data)
        self._ask("CreateResults", request)

    def announce(self, result_ids: Sequence[str]) -> None:
        """Say which results were written."""
        for batch in batches(result_ids, len):
            request = pb.NotifyResultDataRequest(communication_token=self._token)
            for result_id in batch:
                request.ids.add(session_id=self._session_id, result_id=result_id)
            self._ask("NotifyResultData", request)

    def read(self, result_id: str) -> bytes | None:
        """The data of any result of the session, now; ``None`` if there are none."""
        path = self._folder / result_id
        # The agent writes over what is there without cutting it.
        path.unlink(missing_ok=True)
        request = pb.DataRequest(communication_token=self._token, result_id=result_id)
        try:
            self._ask("GetResourceData", request)
            return path.read_bytes()
        except (AgentError, OSError) as error:
            logger.debug("result %s cannot be read: %s", result_id, error)
            return None

    def submit(self, creations: Iterable[Any]) -> None:
        """Submit subtasks, given as ``SubmitTasksRequest.TaskCreation``."""
        for batch in batches(creations, lambda creation: int(creation.ByteSize())):
            request = pb.SubmitTasksRequest(
                communication_token=self._token, session_id=self._session_id, task_creations=batch
            )
            self._ask("SubmitTasks", request)

    def pass_on(self, operation: str, message: bytes) -> bytes:
        """What the function asks of the agent through its handler; the reply.

        Raises:
            Refusal: The agent refuses it, or cannot be reached.
        """
        if operation == DESCRIBE:
            return bytes(self._request.SerializeToString())
        request = _REQUESTS[operation].FromString(message)
        try:
            reply = self._ask(operation, request)
        except AgentError as error:
            raise Refusal(str(error)) from error
        if operation == "NotifyResultData":
            self.given.update(one.result_id for one in request.ids)
        elif operation == "SubmitTasks":
            tasks = request.task_creations
            self.given.update(key for one in tasks for key in one.expected_output_keys)
        return bytes(reply.SerializeToString())

    def _ask(self, operation: str, request: Any) -> Any:
        try:
            return getattr(self._stub, operation)(request, timeout=REQUEST_TIMEOUT_S)
        except grpc.RpcError as error:
            failure: Any = error
            raise AgentError(
                f"{operation} of the agent: {failure.code().name}: {failure.details()}"
            ) from error


def batches(items: Iterable[T], size: Callable[[T], int]) -> Iterator[list[T]]:
    """``items`` in groups that fit into a request."""
    batch: list[T] = []
    total = 0
    for item in items:
        nbytes = size(item) + 64  # and what protobuf and ids add to each
        if batch and (len(batch) == REQUEST_ITEMS or total + nbytes > REQUEST_BYTES):
            yield batch
            batch, total = [], 0
        batch.append(item)
        total += nbytes
    if batch:
        yield batch
