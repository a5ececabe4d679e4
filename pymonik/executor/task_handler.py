"""``ctx.task_handler``: ArmoniK's own, whose requests go to the agent through our parent.

Imported when a function reads it: the package of ArmoniK takes longer than most calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from armonik.protogen.common import agent_common_pb2 as pb
from armonik.protogen.common.worker_common_pb2 import ProcessRequest
from armonik.worker import TaskHandler

from pymonik.errors import UsageError
from pymonik.executor.agent import DESCRIBE

if TYPE_CHECKING:
    from pymonik.executor.frames import Run
    from pymonik.executor.subtasks import SubtaskSession


class AskAgent(Protocol):
    """How the agent is reached."""

    def __call__(self, task_id: str, operation: str, message: bytes) -> bytes:
        """Have it do something for this task: the operation and its request; gives the reply."""


def task_handler(run: Run, session: SubtaskSession, *, chunked: bool, ask: AskAgent) -> TaskHandler:
    """The handler of a running task.

    Args:
        run: The task.
        session: Is told what happens beside it.
        chunked: Whether other calls share the output of the task.
        ask: Reaches the agent.
    """
    # The handler of ArmoniK reads task, options and inputs from what a worker gets; our parent
    # makes it up where no agent has sent one.
    described = ProcessRequest.FromString(ask(run.task_id, DESCRIBE, b""))
    return TaskHandler(described, _Agent(run, session, chunked=chunked, ask=ask))


class _Agent:
    """What the handler takes for the stub of the Agent service."""

    def __init__(self, run: Run, session: SubtaskSession, *, chunked: bool, ask: AskAgent) -> None:
        self._run = run
        self._session = session
        self._chunked = chunked
        self._ask = ask

    def SubmitTasks(self, request: Any) -> Any:  # noqa: N802
        outputs = [key for one in request.task_creations for key in one.expected_output_keys]
        reply = self._changing("SubmitTasks", request, outputs)
        return pb.SubmitTasksResponse.FromString(reply)

    def NotifyResultData(self, request: Any) -> Any:  # noqa: N802
        outputs = [one.result_id for one in request.ids]
        reply = self._changing("NotifyResultData", request, outputs)
        return pb.NotifyResultDataResponse.FromString(reply)

    def CreateResultsMetaData(self, request: Any) -> Any:  # noqa: N802
        reply = self._changing("CreateResultsMetaData", request)
        return pb.CreateResultsMetaDataResponse.FromString(reply)

    def CreateResults(self, request: Any) -> Any:  # noqa: N802
        return pb.CreateResultsResponse.FromString(self._changing("CreateResults", request))

    def GetResourceData(self, request: Any) -> Any:  # noqa: N802
        return pb.DataResponse.FromString(self._asked("GetResourceData", request))

    def _changing(self, operation: str, request: Any, outputs: list[str] | None = None) -> bytes:
        """Ask for something that the agent keeps until the task has ended well."""
        is_own = bool(outputs) and self._run.output_id in (outputs or ())
        if is_own and self._chunked:
            raise UsageError(
                "this call shares the output of its task with others, so it cannot send it: "
                "map with chunk_size=1"
            )
        reply = self._asked(operation, request)
        self._session.is_changed = True
        self._session.is_output_given |= is_own
        return reply

    def _asked(self, operation: str, request: Any) -> bytes:
        return self._ask(self._run.task_id, operation, request.SerializeToString())
