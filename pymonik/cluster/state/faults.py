"""Every refusal of the control plane: its status code and its exact text.

One row of the table of ArmoniK's exception interceptor is one class here. The code is the name of a
gRPC status, so that the pure state can refuse without knowing gRPC.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class Fault(Exception):  # noqa: N818  (a row of ArmoniK's table, not an error of ours)
    """A request that is refused.

    Attributes:
        code: Name of the gRPC status code.
        detail: What the client reads.
    """

    code: ClassVar[str] = "UNKNOWN"
    prefix: ClassVar[str] = ""

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.detail = ": ".join(part for part in (self.prefix, message) if part)


class ObjectDataNotFound(Fault):
    """The result has no bytes."""

    code, prefix = "NOT_FOUND", "Result data was not found"


class PartitionNotFound(Fault):
    """No such partition."""

    code, prefix = "NOT_FOUND", "Partition was not found"


class ResultNotFound(Fault):
    """No such result."""

    code, prefix = "NOT_FOUND", "Result was not found"


class SessionNotFound(Fault):
    """No such session."""

    code, prefix = "NOT_FOUND", "Session was not found"


class TaskNotFound(Fault):
    """No such task."""

    code, prefix = "NOT_FOUND", "Task was not found"


class InvalidSessionTransition(Fault):
    """The session is in a status that does not allow the request."""

    code, prefix = "FAILED_PRECONDITION", "The session transition is invalid"


class ResultInvalidStatus(Fault):
    """A result is in a status that does not allow the request."""

    code, prefix = "FAILED_PRECONDITION", "Result status is invalid"


class SubmissionClosed(Fault):
    """The session takes no more tasks."""

    code, prefix = "FAILED_PRECONDITION", "Submission for the session is closed"


class ShuttingDown(Fault):
    """The control plane is being closed."""

    code, prefix = "UNAVAILABLE", "Control plane is shutting down"


class Unknown(Fault):
    """What ArmoniK answers to mistakes that it did not foresee; the reason stays in the log."""

    def __init__(self, reason: str = "") -> None:
        # This text is all that ArmoniK says; `reason` is what our own log says besides.
        super().__init__("Unknown exception, see ArmoniK logs")
        self.reason = reason


class NotFound(Fault):
    """NOT_FOUND with a text of its own, not one of the table."""

    code = "NOT_FOUND"


class FailedPrecondition(Fault):
    """FAILED_PRECONDITION with a text of its own."""

    code = "FAILED_PRECONDITION"


class InvalidArgument(Fault):
    """INVALID_ARGUMENT with a text of its own."""

    code = "INVALID_ARGUMENT"


class BrokenRule(NamedTuple):
    """A rule of validation that does not hold.

    Attributes:
        path: The field, as ArmoniK calls it.
        message: What is wrong.
        value: What was given, if it can be written as JSON.
    """

    path: str
    message: str
    value: int | str | list[object] | None = None


class ValidationFailed(InvalidArgument):
    """A request that is not looked at any further: a line for each broken rule."""

    def __init__(self, rules: Sequence[BrokenRule]) -> None:
        lines = [
            f"Property {rule.path} failed validation. Error was {rule.message}" for rule in rules
        ]
        super().__init__("\n".join(lines))
        self.rules = rules


class ResourceExhausted(Fault):
    """RESOURCE_EXHAUSTED: this process cannot take more; ArmoniK has no such limit."""

    code = "RESOURCE_EXHAUSTED"


class NoRoom(ResourceExhausted):
    """The object storage cannot be written; the text of the system names the place."""

    prefix = "the object storage cannot be written"


class NotKept(NoRoom):
    """What was asked for could not be written where rows are kept, and had happened by then.

    It is told to nobody until it is written, which it will be once there is room.
    """

    prefix = "it takes place once there is room on the disk, and may be lost until then"
