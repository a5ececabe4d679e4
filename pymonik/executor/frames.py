"""The messages between an executor and its parent."""

from __future__ import annotations

import msgspec

from pymonik.executor.packed_options import packed, unpacked
from pymonik.options import DEFAULT_MAX_RETRIES, TaskOptions
from pymonik.wire.call import ResultRef
from pymonik.wire.live import ReportEntry


class Run(msgspec.Struct, frozen=True, kw_only=True, tag="run"):
    """Parent to executor: run the calls of one task.

    Attributes:
        attempt: 1 for the first.
        files: Of the payload and the data dependencies, by result id.
        data: The same for those that are small: what would be in the file.
        output_id: The expected output, ``""`` when the task has none.
        packed_options: Those of the task, see `pymonik.executor.packed_options`.
        folder: Where the executor may write files, which are then the parent's.
        code: Folder of the bundle whose modules the calls may import; ``""`` where there is none,
            and where the executor has entered it before.
    """

    task_id: str
    session_id: str
    attempt: int = 1
    files: dict[str, str]
    data: dict[str, bytes] = {}
    payload_id: str
    output_id: str
    packed_options: msgspec.Raw = packed(TaskOptions())
    folder: str
    code: str = ""

    @property
    def options(self) -> TaskOptions:
        """The options of the task, shared with other runs that have the same."""
        return unpacked(self.packed_options)

    def input(self, result_id: str) -> str | bytes:
        """The file of an input, or its bytes.

        Raises:
            KeyError: It is not an input.
        """
        data = self.data.get(result_id)
        return self.files[result_id] if data is None else data

    @property
    def max_retries(self) -> int:
        """How often it may be tried again."""
        given = self.options.max_retries
        return DEFAULT_MAX_RETRIES if given is None else given


class HandedOver(msgspec.Struct, frozen=True, kw_only=True, tag="handed over"):
    """Parent to executor, during a run: the last calls are taken away; where their values stand.

    Without items nobody took them: they are offered again.
    """

    items: list[ResultRef]


class AgentRequest(msgspec.Struct, frozen=True, kw_only=True, tag="agent request"):
    """Executor to parent, during a run: the function asks ArmoniK's agent for something.

    Attributes:
        number: Of the request, since the executor started.
        operation: Of the Agent service, or `pymonik.executor.agent.DESCRIBE`.
        message: Its request, as it would go over gRPC.
    """

    task_id: str
    number: int
    operation: str
    message: bytes


class AgentReply(msgspec.Struct, frozen=True, kw_only=True, tag="agent reply"):
    """Parent to executor: what the agent said, or why it refused."""

    number: int
    message: bytes = b""
    refusal: str = ""


class Created(msgspec.Struct, frozen=True, kw_only=True):
    """A result that the task created; without data, it is the output of a subtask."""

    stand_in: str
    name: str = ""
    data: bytes | None = None
    path: str | None = None


class Subtask(msgspec.Struct, frozen=True, kw_only=True):
    """A task that the task submitted; ids are stand-ins, or real where they are known.

    Attributes:
        output: The id of the running task's own output, when that is delegated.
        options: All of the subtask's options: what was inherited is filled in.
    """

    payload: str
    output: str
    dependencies: list[str]
    options: TaskOptions


class Report(msgspec.Struct, frozen=True, kw_only=True, tag="report"):
    """Executor to parent: the task ended well. Neither output nor path: it is delegated.

    Attributes:
        forgotten: Results of the session whose data nobody needs any more.
        faults: How many of its calls failed, by the class of the exception.
    """

    task_id: str = ""
    faults: dict[str, int] = msgspec.field(default_factory=dict)
    output: bytes | None = None
    output_path: str | None = None
    created: list[Created] = msgspec.field(default_factory=list)
    subtasks: list[Subtask] = msgspec.field(default_factory=list)
    forgotten: tuple[str, ...] = ()


class Reported(msgspec.Struct, frozen=True, kw_only=True, tag="reported"):
    """Executor to parent, during a run: a call has reported something.

    Attributes:
        output_id: Under which the report is found.
    """

    task_id: str
    output_id: str
    entry: ReportEntry


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag="ready"):
    """Executor to parent: it has started, or has loaded the code of a run that came with some.

    Attributes:
        memory: Its peak until now, in bytes.
    """

    memory: int


class Retires(msgspec.Struct, frozen=True, kw_only=True, tag="retires"):
    """Executor to parent, behind its last answer: a call left it as no other may find it.

    A run that it has got meanwhile does not begin.

    Attributes:
        reason: What cannot be put back.
    """

    reason: str
