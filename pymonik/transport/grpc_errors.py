"""Errors of requests, over gRPC or the direct socket, become ours: here and nowhere else."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pymonik.errors import ControlPlaneError, SessionClosedError, UnavailableError
from pymonik.transport.direct import DirectError
from pymonik.wire.status import Code

if TYPE_CHECKING:
    from collections.abc import Iterator

# Meanings of codes, where the control plane's own words do not say it.
MEANING: dict[Code, str] = {
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


def rpc_errors() -> tuple[type[Exception], ...]:
    """What requests raise that fail: `grpc.RpcError` too where gRPC is loaded, else nobody does."""
    of_grpc = getattr(sys.modules.get("grpc"), "RpcError", None)
    return (DirectError,) if of_grpc is None else (DirectError, of_grpc)


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
    except rpc_errors() as error:
        # All that gRPC knows stands in the text; its own frames would bury the line of the user.
        raise to_error(operation, error) from None


def to_error(operation: str, error: Any) -> ControlPlaneError:
    """The error that stands for one of `rpc_errors`."""
    code, said = code_of(error), details_of(error)
    detail = f"{said} ({MEANING[code]})" if said else MEANING[code]
    if code in _UNAVAILABLE:
        return UnavailableError(operation, detail)
    if said.startswith(_CLOSED):
        return SessionClosedError(operation, f"{said}; open another `Pymonik()`")
    return ControlPlaneError(operation, detail)


def code_of(error: Any) -> Code:
    """The status of one of `rpc_errors`."""
    code = error.code() if callable(getattr(error, "code", None)) else None
    return Code.__members__.get(getattr(code, "name", ""), Code.UNKNOWN)


def details_of(error: Any) -> str:
    """What the other side said."""
    details = error.details() if callable(getattr(error, "details", None)) else None
    return details or ""
