"""`AWSConnector`: what clients of HTC-Grid call, in front of a handler as a task.

::

    from api.connector import AWSConnector          from pymonik.htc_grid import AWSConnector
    connector = AWSConnector()               ──►    connector = AWSConnector()
    connector.init(agent_config, ...)               connector.init({"bundle": "lambda.zip",
                                                        "handler": "engine.lambda_handler"})

The rest of such a client stays as it is. What users of HTC-Grid call a session, one `send`, is a
session of ArmoniK here, which any connector finds by its id: its calls are recorded, and their
values stay until the session is deleted.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from pymonik.client.pymonik_client import Pymonik
from pymonik.errors import UsageError
from pymonik.tasks.task import Task

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pymonik.handles.multi_result_handle import MultiResultHandle

# Keys of the configuration that `Pymonik` takes.
_OF_CLIENT: Final = ("endpoint", "partition", "certificate_authority", "client_certificate",
                     "client_key")  # fmt: skip
# Keys that `Task.from_lambda` takes.
_OF_TASK: Final = ("name", "environment", "max_duration", "max_retries", "priority", "memory")
_STATES: Final = ("finished", "cancelled", "failed")
_RUN: Final = "vector"  # the label of the calls of one `send`
# Limits that HTC-Grid sets where its clients say nothing: seconds of an attempt, and attempts after
# the first.
_TASK_TIMEOUT_S: Final = 3600
_RETRIES: Final = 5


class AWSConnector:
    """Sends vectors of tasks to one handler, and gives their results as HTC-Grid does.

    Args:
        client_config_data: As for `init`, for clients that give it here.
    """

    def __init__(self, client_config_data: Mapping[str, Any] | None = None) -> None:
        self._client_options: dict[str, Any] = {}
        self._task: Task[Any, Any] | None = None
        self._sessions: dict[str, tuple[Pymonik, MultiResultHandle[Any]]] = {}
        if client_config_data is not None:
            self.init(client_config_data)

    def init(self, agent_config_data: Mapping[str, Any], *_: object, **_unused: object) -> None:
        """Take the configuration; what only AWS needs (keys, buckets, users) is passed over.

        Args:
            agent_config_data: ``bundle``, a zip or a folder, and ``handler``, such as
                ``"engine.lambda_handler"``; or ``task``. And what is to be said otherwise of
                ``endpoint``, ``partition`` and certificates, as `Pymonik` takes them, and of
                ``environment``, ``max_duration``, ``max_retries``, ``priority`` and ``memory``, as
                `Task.from_lambda` does.

        Raises:
            UsageError: There is no handler.
        """
        config = dict(agent_config_data)
        self._client_options = {name: config[name] for name in _OF_CLIENT if name in config}
        task = config.get("task")
        if task is None:
            if "bundle" not in config or "handler" not in config:
                raise UsageError(
                    "the configuration needs a 'bundle' (a zip or a folder) and a 'handler' such "
                    "as 'engine.lambda_handler'"
                )
            options = {name: config[name] for name in _OF_TASK if name in config}
            options = {"max_duration": _TASK_TIMEOUT_S, "max_retries": _RETRIES, **options}
            task = Task.from_lambda(config["bundle"], config["handler"], **options)
        if not isinstance(task, Task):
            raise UsageError(f"'task' of the configuration is no task: {task!r}")
        self._task = task

    def authenticate(self) -> None:
        """Nothing to do: ArmoniK knows its users by their certificates."""

    def send(self, tasks_list: Sequence[Any]) -> dict[str, Any]:
        """Submit a vector of tasks: one event each.

        Returns:
            ``session_id`` and ``task_ids``, in the order of the events.
        """
        if self._task is None:
            raise UsageError("call init() first: which handler is to run?")
        client = self._client()
        run: MultiResultHandle[Any] = self._task.map_invoke(list(tasks_list), client, label=_RUN)
        client.send()
        session_id = client.session_id
        self._sessions[session_id] = client, run
        return {"session_id": session_id, "task_ids": _ids(session_id, len(tasks_list))}

    def get_results(
        self, submission_response: Mapping[str, Any], timeout_sec: float = 0
    ) -> dict[str, Any]:
        """What has ended of a vector, when all of it has, or the time is over.

        Args:
            submission_response: What `send` gave, to this connector or to another one.
            timeout_sec: Seconds to wait; 0 waits without limit.

        Returns:
            ``finished`` with the ids, ``finished_OUTPUT`` with the answers as JSON; the same of
            ``cancelled`` and ``failed`` if there are such tasks, with what their errors say; and
            ``metadata`` with ``tasks_in_response``.
        """
        session_id = str(submission_response["session_id"])
        _, run = self._known(session_id)
        run.ready(timeout=timeout_sec or None)
        standings = run.summary()
        found: dict[str, Any] = {"finished": [], "finished_OUTPUT": []}
        count = 0
        for state in _STATES:
            ended = standings[state]
            count += len(ended)
            if ended or state == "finished":
                found[state] = [f"{session_id}_{one.index}" for one in ended]
                found[f"{state}_OUTPUT"] = [
                    json.dumps(one.value) if state == "finished" else _said(one.error)
                    for one in ended
                ]
        found["metadata"] = {"tasks_in_response": count}
        if count == len(run):
            self._close(session_id)
        return found

    def cancel_sessions(self, session_ids: Sequence[str]) -> dict[str, Any]:
        """Cancel what has not ended, and kill what runs.

        Returns:
            By session, how many tasks were cancelled that waited (``cancelled_pending``) or ran
            (``cancelled_processing``), and of all (``tatal_cancelled_tasks``, as HTC-Grid spells
            it, and ``total_cancelled_tasks``).
        """
        return {session_id: self._cancel(session_id) for session_id in session_ids}

    def close(self) -> None:
        """Close all sessions; tasks that have not started will not."""
        for client, _ in self._sessions.values():
            client.close(wait=False)

    # -- inside ----------------------------------------------------------------------------------

    def _client(self, **settings: Any) -> Pymonik:
        client = Pymonik(
            **self._client_options, **settings, on_exit="keep", on_unseen="ignore", output="quiet"
        )
        return client.create()

    def _known(self, session_id: str) -> tuple[Pymonik, MultiResultHandle[Any]]:
        """A session and its calls, whoever has sent them.

        Raises:
            UsageError: The cluster has no such session.
        """
        if session_id not in self._sessions:
            client = self._client(session=session_id)
            if client.session_id != session_id:  # the client has made a session of this name
                client.cancel()
                raise UsageError(f"there is no session {session_id}")
            self._sessions[session_id] = client, client.runs[_RUN]
        return self._sessions[session_id]

    def _cancel(self, session_id: str) -> dict[str, int]:
        client, run = self._known(session_id)
        # Asked before: afterwards nothing tells which of the cancelled tasks had a worker.
        before = run.summary()
        client.cancel()
        after = run.summary()
        cancelled = {one.index for one in after["cancelled"]}
        running = len(cancelled & {one.index for one in before["running"]})
        return {
            "cancelled_retrying": 0,
            "cancelled_pending": len(cancelled) - running,
            "cancelled_processing": running,
            "tatal_cancelled_tasks": len(cancelled),
            "total_cancelled_tasks": len(cancelled),
        }

    def _close(self, session_id: str) -> None:
        client, _ = self._sessions[session_id]
        client.close(wait=False)


def _ids(session_id: str, count: int) -> list[str]:
    return [f"{session_id}_{number}" for number in range(count)]


def _said(error: BaseException | None) -> str:
    return f"{type(error).__name__}: {error}"
