"""The agent of one task that runs in an executor: its function has asked for ArmoniK's handler."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, NoReturn

from armonik.protogen.common import agent_common_pb2 as pb

from pymonik.cluster.runners.agent_service import AgentService, Attempt
from pymonik.cluster.state.work import Succeeded
from pymonik.executor.agent import DESCRIBE, Refusal

if TYPE_CHECKING:
    from pathlib import Path

    import grpc

    from pymonik.cluster.dispatch import Dispatch
    from pymonik.cluster.state.work import Assignment

_REQUESTS: dict[str, Any] = {
    "SubmitTasks": pb.SubmitTasksRequest,
    "NotifyResultData": pb.NotifyResultDataRequest,
    "CreateResultsMetaData": pb.CreateResultsMetaDataRequest,
    "CreateResults": pb.CreateResultsRequest,
    "GetResourceData": pb.DataRequest,
}


class ExecutorAgent:
    """The agent of our own executors: what foreign workers have over gRPC, as methods.

    Args:
        dispatch: Knows the results of the session.
        assignment: The task.
        folder: Of the slot, which removes what is left in it.
    """

    def __init__(self, dispatch: Dispatch, assignment: Assignment, folder: Path) -> None:
        token = str(uuid.uuid4())
        self._attempt = Attempt(assignment, token, folder / token)
        self._service = AgentService(dispatch)
        self._service.attach(self._attempt)

    @property
    def task_id(self) -> str:
        """Whose agent it is."""
        return self._attempt.assignment.task_id

    def ask(self, operation: str, message: bytes) -> bytes:
        """Do what the function wants; see `pymonik.executor.agent.Agent`."""
        if operation == DESCRIBE:
            return self._describe()
        request = _REQUESTS[operation].FromString(message)
        reply = getattr(self._service, operation)(request, _Context())
        return bytes(reply.SerializeToString())

    def _describe(self) -> bytes:
        try:
            # Inputs are copied for the first handler of the task only; another thread of it may ask
            # again.
            if not self._attempt.folder.exists():
                self._attempt.lay_out()
        except OSError as error:
            raise Refusal(f"an input cannot be read: {error.strerror}") from error
        return bytes(self._attempt.request().SerializeToString())

    def with_report(self, reported: Succeeded) -> Succeeded:
        """All that the task made, through its handler and else."""
        asked = self._attempt.success()
        return Succeeded(
            created=[*asked.created, *reported.created],
            data={**asked.data, **reported.data},
            tasks=[*asked.tasks, *reported.tasks],
            forgotten=reported.forgotten,
        )


class _Context:
    """What a method of the service gets of gRPC."""

    def abort(self, code: grpc.StatusCode, detail: str) -> NoReturn:
        """Refuse the request."""
        raise Refusal(f"{code.name}: {detail}")
