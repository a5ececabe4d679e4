"""gRPC errors become ours, each of them."""

from __future__ import annotations

import grpc
import pytest

from pymonik.errors import ControlPlaneError, SessionClosedError, UnavailableError
from pymonik.transport.grpc_errors import MEANING, translated
from pymonik.wire.status import Code


class Broken(grpc.RpcError):
    def __init__(self, code: grpc.StatusCode, details: str = "") -> None:
        self._code, self._details = code, details

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._details


@pytest.mark.parametrize("code", list(grpc.StatusCode))
def test_each_status_code_is_ours_and_says_something(code: grpc.StatusCode) -> None:
    with pytest.raises(ControlPlaneError, match="SubmitTasks") as raised, translated("SubmitTasks"):
        raise Broken(code)
    assert raised.value.detail == MEANING[Code[code.name]]
    assert raised.value.__suppress_context__  # the frames of gRPC say nothing to a user


@pytest.mark.parametrize("code", ["UNAVAILABLE", "DEADLINE_EXCEEDED"])
def test_no_answer_is_unavailable(code: str) -> None:
    with pytest.raises(UnavailableError), translated("GetResult"):
        raise Broken(grpc.StatusCode[code])


@pytest.mark.parametrize(
    "details",
    [
        "Submission for the session is closed: Client submission is closed",
        "Session was not found: Session x not found.",
    ],
)
def test_a_closed_session_is_told_apart(details: str) -> None:
    with pytest.raises(SessionClosedError, match="Pymonik"), translated("SubmitTasks"):
        raise Broken(grpc.StatusCode.FAILED_PRECONDITION, details)


def test_an_error_without_code_is_ours_too() -> None:
    with pytest.raises(ControlPlaneError), translated("GetResult"):
        raise grpc.RpcError
