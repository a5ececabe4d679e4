# ruff: noqa: N802, D102, ARG001, ARG002  (names and parameters are ArmoniK's)
"""The ``Sessions`` service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from armonik.protogen.common import sessions_common_pb2 as pb

from pymonik.cluster.messages import default_options, session_raw
from pymonik.cluster.services.answering import answering
from pymonik.cluster.services.fields import SESSIONS
from pymonik.cluster.services.lists import ListRequest
from pymonik.cluster.state import sessions
from pymonik.cluster.state.faults import BrokenRule, ValidationFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymonik.cluster.control_plane import ControlPlane
    from pymonik.cluster.state.rows import Session
    from pymonik.cluster.state.tables import State

MAX_PRIORITY = 99  # of a session's default; what a task may have is less, see `State.max_priority`


class SessionsService:
    """Sessions: create, change, list."""

    def __init__(self, control_plane: ControlPlane) -> None:
        self._control_plane = control_plane

    @answering
    def CreateSession(self, request: Any, context: Any) -> Any:
        validate_default_options(request)
        options = default_options(request.default_task_option)
        session = self._control_plane.create_session(options, tuple(request.partition_ids))
        return pb.CreateSessionReply(session_id=session.session_id)

    @answering
    def GetSession(self, request: Any, context: Any) -> Any:
        with self._control_plane.reading() as state:
            return pb.GetSessionResponse(session=session_raw(state.session(request.session_id)))

    @answering
    def ListSessions(self, request: Any, context: Any) -> Any:
        query = ListRequest(SESSIONS, request)
        with self._control_plane.reading() as state:
            rows, total = query.run(state.sessions, {})
            found = [session_raw(session) for session in rows]
        return pb.ListSessionsResponse(
            sessions=found, page=request.page, page_size=request.page_size, total=total
        )

    @answering
    def PauseSession(self, request: Any, context: Any) -> Any:
        session = self._changed(sessions.pause, request)
        return pb.PauseSessionResponse(session=session)

    @answering
    def ResumeSession(self, request: Any, context: Any) -> Any:
        session = self._changed(sessions.resume, request)
        return pb.ResumeSessionResponse(session=session)

    @answering
    def CloseSession(self, request: Any, context: Any) -> Any:
        session = self._changed(sessions.close, request)
        return pb.CloseSessionResponse(session=session)

    @answering
    def CancelSession(self, request: Any, context: Any) -> Any:
        session = self._changed(sessions.cancel, request)
        return pb.CancelSessionResponse(session=session)

    @answering
    def PurgeSession(self, request: Any, context: Any) -> Any:
        session = self._changed(sessions.purge, request)
        return pb.PurgeSessionResponse(session=session)

    @answering
    def DeleteSession(self, request: Any, context: Any) -> Any:
        session = self._changed(sessions.delete, request)
        return pb.DeleteSessionResponse(session=session)

    @answering
    def StopSubmission(self, request: Any, context: Any) -> Any:
        def stop(state: State, session_id: str, now: int) -> Session:
            return sessions.stop_submission(
                state, session_id, client=request.client, worker=request.worker
            )

        return pb.StopSubmissionResponse(session=self._changed(stop, request))

    def _changed(self, transition: Callable[[State, str, int], Session], request: Any) -> Any:
        return self._control_plane.change_session(transition, request.session_id, session_raw)


def validate_default_options(request: Any) -> None:
    """Refuse default options that ArmoniK refuses, with one line for each rule."""
    if not request.HasField("default_task_option"):
        message = "'DefaultTaskOption' must not be empty."
        raise ValidationFailed([BrokenRule("DefaultTaskOption", message)])
    rules = _default_option_rules(request.default_task_option)
    errors = [
        BrokenRule(f"DefaultTaskOption.{path}", message, value)
        for failed, path, message, value in rules
        if failed
    ]
    if errors:
        raise ValidationFailed(errors)


def _default_option_rules(options: Any) -> list[tuple[bool, str, str, int | None]]:
    retries, priority = options.max_retries, options.priority
    no_duration = not options.HasField("max_duration")
    empty = (no_duration, "MaxDuration", "'MaxDuration' must not be empty.", None)
    at_least_one = "must be greater than or equal to '1'."
    between = "Priority should be included between 1 and 99"
    return [
        (retries < 1, "MaxRetries", f"'MaxRetries' {at_least_one}", retries),
        (priority < 1, "Priority", f"'Priority' {at_least_one}", priority),
        (priority > MAX_PRIORITY, "Priority", between, priority),
        empty,
        empty,  # two rules of ArmoniK say the same
    ]
