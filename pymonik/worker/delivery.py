"""Hands over what a task made: its results and subtasks to the agent, which has the last word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from armonik.protogen.common.agent_common_pb2 import SubmitTasksRequest

from pymonik.executor.submission import bind
from pymonik.worker.option_messages import to_message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymonik.executor.frames import Report, Subtask
    from pymonik.worker.agent_requests import TaskAgent


class UndeliveredError(Exception):
    """The task ended without its expected output, which ArmoniK would not notice."""


def deliver(report: Report, output_id: str, agent: TaskAgent) -> None:
    """Have the agent know everything in ``report``.

    Raises:
        UndeliveredError: The expected output is neither there nor delegated.
        AgentError: The agent refused a request.
    """
    bound = _bound(report, agent)
    # The function may have sent its output with ArmoniK's own handler; see
    # `PymonikContext.task_handler`.
    if output_id not in agent.given:
        _check(bound, output_id)
    _hand_in(bound, output_id, agent)


def hand_over(report: Report, agent: TaskAgent) -> list[str]:
    """Submit the subtasks of a task that goes on; the ids of their outputs.

    The agent keeps them until the task has ended well: they start no earlier.

    Raises:
        AgentError: The agent refused a request.
    """
    bound = _bound(report, agent)
    _hand_in(bound, "", agent)
    return [subtask.output for subtask in bound.subtasks]


def _bound(report: Report, agent: TaskAgent) -> Report:
    stand_ins = [created.stand_in for created in report.created]
    ids = agent.create([created.name for created in report.created])
    return bind(report, dict(zip(stand_ins, ids, strict=True)))


def _hand_in(bound: Report, output_id: str, agent: TaskAgent) -> None:
    announced = list(_write(bound, output_id, agent))
    # The agent takes the data from the files when it is told of them.
    agent.announce(announced)
    agent.submit(_creation(subtask) for subtask in bound.subtasks)


def _check(report: Any, output_id: str) -> None:
    if not output_id or report.output is not None or report.output_path is not None:
        return
    if not any(subtask.output == output_id for subtask in report.subtasks):
        raise UndeliveredError(
            f"the task ended without its result {output_id}: it was neither made nor delegated"
        )


def _write(report: Any, output_id: str, agent: TaskAgent) -> Iterator[str]:
    """Write every file; gives the ids of those that have data."""
    for created in report.created:
        if created.data is not None or created.path is not None:
            agent.write(created.stand_in, created.data, created.path)
            yield created.stand_in
    if output_id and (report.output is not None or report.output_path is not None):
        agent.write(output_id, report.output, report.output_path)
        yield output_id


def _creation(subtask: Subtask) -> Any:
    return SubmitTasksRequest.TaskCreation(
        payload_id=subtask.payload,
        expected_output_keys=[subtask.output],
        data_dependencies=subtask.dependencies,
        task_options=to_message(subtask.options),
    )
