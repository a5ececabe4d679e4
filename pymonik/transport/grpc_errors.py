"""gRPC errors become ours, here and nowhere else."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import grpc

from pymonik.errors import ControlPlaneError, SessionClosedError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

Code = grpc.StatusCode

# Meanings of codes, where the control plane's own words do not say it.
MEANING: dict[Any, str] = {
    Code.OK: "the request ended without an answer",
    Code.CANCELLED: "the request was cancelled",
    Code.UNKNOWN: "the control plane failed; see its logs",
    Code.INVALID_ARGUMENT: "the control plane refused an argument",
    Code.DEADLINE_EXCEEDED: "no answer in time",
    Code.NOT_FOUND: "not found",
    Code.ALREADY_EXISTS: "it exists already",
    Code.PERMISSION_DENIED: "not allowed for this user; see the roles of the client certificate",
    Code.RESOURCE_EXHAUSTED: "too large, or too much at once",
    Code.FAILED_PRECONDITION: "not possible in this state",
    Code.ABORTED: "the request was aborted",
    Code.OUT_OF_RANGE: "out of range",
    Code.UNIMPLEMENTED: "the control plane does not know this request; is it an older version?",
    Code.INTERNAL: "the control plane failed; see its logs",
    Code.UNAVAILABLE: "the control plane cannot be reached",
    Code.DATA_LOSS: "data was lost",
    Code.UNAUTHENTICATED: "who you are is not known; set client_certificate and client_key",
}

_UNAVAILABLE = frozenset({Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED})
# ArmoniK's texts of refusals whose codes, FAILED_PRECONDITION and NOT_FOUND, mean other things as
# well.
_CLOSED = ("Submission for the session is closed", "Session was not found")


@contextmanager
def translated(operation: str) -> Iterator[None]:
    """Raise what a request raises as an error of pymonik.

    Raises:
        UnavailableError: No answer; worth a retry.
        SessionClosedError: The session takes no more tasks, or does not exist any more.
        ControlPlaneError: Anything else.
    """
    try:
        yield
    except grpc.RpcError as error:
        # All that gRPC knows stands in the text; its own frames would bury the line of the user.
        raise to_error(operation, error) from None


def to_error(operation: str, error: Any) -> ControlPlaneError:
    """The error that stands for a `grpc.RpcError`."""
    code, said = code_of(error), details_of(error)
    detail = f"{said} ({MEANING[code]})" if said else MEANING[code]
    if code in _UNAVAILABLE:
        return UnavailableError(operation, detail)
    if said.startswith(_CLOSED):
        return SessionClosedError(operation, f"{said}; open another `Pymonik()`")
    return ControlPlaneError(operation, detail)


def code_of(error: Any) -> Any:
    """The status code of a `grpc.RpcError`."""
    code = error.code() if callable(getattr(error, "code", None)) else None
    return code if code in MEANING else Code.UNKNOWN


def details_of(error: Any) -> str:
    """What the other side said."""
    details = error.details() if callable(getattr(error, "details", None)) else None
    return details or ""
