"""What a running task asks of ArmoniK's agent: its executor passes it on, its parent answers.

::

    function ── TaskHandler of armonik ── AgentRequest ──► parent ──► the agent of ArmoniK, or
                                       ◄── AgentReply ────            that of the embedded cluster

So the executor needs no connection of its own, and both clusters have the same handler.
"""

from __future__ import annotations

from collections.abc import Callable

DESCRIBE = "the task"  # answered with the `ProcessRequest` that a worker would have got

Agent = Callable[[str, bytes], bytes]
"""Takes an operation of the Agent service and its request; gives the reply or raises `Refusal`."""


class Refusal(Exception):  # noqa: N818 - the agent's word, not a fault of ours
    """The agent does not do what it was asked for; the message says why."""


def no_agent(operation: str, message: bytes) -> bytes:
    """The agent of a run whose parent has none.

    Raises:
        Refusal: Always.
    """
    del operation, message
    raise Refusal("there is no agent where this task runs")
