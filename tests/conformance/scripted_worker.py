"""Scripted worker of the conformance kit: executes the script found in the payload of its task.

The payload is JSON, ``{"ops": [{"op": "send", ...}, ...]}``; the ops run in order and the task ends
with ``Output.ok`` unless an op ends it otherwise. ``conformance/ops.py`` builds these scripts and
documents each op; the methods ``op_*`` of :class:`Script` execute them.

In an op, a reference to a result or a task is

* ``@k``: the k-th expected output of the running task,
* ``$name``: an ID remembered by ``create``, ``create_meta`` or ``submit``,
* anything else: the ID itself.

Calls to the agent never end the script: their code, details or reply are kept for ``report``.
Run it like any ArmoniK worker: the channels come from the ``ComputePlane__*`` variables.
"""

from __future__ import annotations

import json
import logging
import os
import string
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
from armonik.protogen.common import agent_common_pb2
from armonik.protogen.common.objects_pb2 import Empty, Output
from armonik.protogen.common.worker_common_pb2 import ProcessReply, ProcessRequest
from armonik.protogen.worker.worker_service_pb2_grpc import add_WorkerServicer_to_server
from armonik.worker import ArmoniKWorker, ClefLogger, TaskHandler
from google.protobuf.json_format import MessageToDict, ParseDict

if TYPE_CHECKING:
    from armonik.protogen.worker.agent_service_pb2_grpc import AgentStub
    from google.protobuf.message import Message

PATTERN = b"0123456789abcdef"  # content of data given by its size only
AGENT_CALL_TIMEOUT_S = 30.0
AGENT_CHANNEL_OPTIONS = [
    ("grpc.default_authority", "localhost"),
    ("grpc.max_reconnect_backoff_ms", 1000),  # an agent may restart while the worker lives
]
FILE_HEAD = 256  # bytes of each file shown in a report

logger = ClefLogger.getLogger("scripted_worker")


class ThrownError(Exception):
    """The script asks for an uncaught exception."""


class Script:
    """One execution of the script of a task.

    Args:
        request: What the agent sent.
        agent: Where results are created and subtasks submitted.
        context: Call of the agent, to end it with a raw status and to see that it was cancelled.
        active: Number of tasks this worker is processing, this one included.
    """

    def __init__(
        self,
        request: ProcessRequest,
        agent: AgentStub,
        context: grpc.ServicerContext,
        active: int,
    ) -> None:
        self.request = request
        self.agent = agent
        self.context = context
        self.active = active
        self.folder = Path(request.data_folder)
        self.names: dict[str, str] = {}
        self.calls: list[dict[str, Any]] = []

    def run(self) -> ProcessReply:
        """Execute the ops until one of them ends the task."""
        try:
            ops = json.loads((self.folder / self.request.payload_id).read_bytes())["ops"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            return _failure(f"the payload is not a script: {error!r}")
        for op in ops:
            fields = dict(op)
            name = fields.pop("op")
            if self._skipped(fields.pop("first", None), fields.pop("counter", None)):
                continue
            try:
                reply: ProcessReply | None = getattr(self, f"op_{name}")(**fields)
            except (AttributeError, LookupError, OSError, TypeError, ValueError) as error:
                reply = _failure(f"op {name}: {error!r}")
            if reply is not None:
                return reply
        return ProcessReply(output=Output(ok=Empty()))

    def _skipped(self, first: int | None, counter: str | None) -> bool:
        """Whether an op limited to its ``first`` executions was executed often enough.

        Executions are counted in the file ``counter``; attempts of the task count too, since
        another worker, with other files, may have run the previous ones.
        """
        if first is None or counter is None:
            return False
        path = Path(counter)
        path.parent.mkdir(parents=True, exist_ok=True)
        done = int(path.read_text()) if path.exists() else 0
        path.write_text(str(done + 1))
        attempt = int(self.request.task_id.partition("###")[2] or 0)
        return max(done, attempt) >= first

    # Results and subtasks

    def op_send(self, to: str, data: Any) -> None:
        """Write a result in the data folder and notify the agent."""
        result_id = self._id(to)
        with (self.folder / result_id).open("wb") as file:
            for chunk in self._chunks(data):
                file.write(chunk)
        self._notify("send", result_id)

    def op_notify(self, to: str) -> None:
        """Notify the agent of a result without file."""
        self._notify("notify", self._id(to))

    def op_create(self, name: str, data: Any) -> None:
        """Create a result with its data, remembered as ``$name``."""
        self._create("create", name, b"".join(self._chunks(data)))

    def op_create_meta(self, name: str) -> None:
        """Create a result without data, remembered as ``$name``."""
        request = agent_common_pb2.CreateResultsMetaDataRequest(
            session_id=self.request.session_id,
            communication_token=self.request.communication_token,
        )
        request.results.add(name=name)
        reply = self._call("create_meta", "CreateResultsMetaData", request)
        if reply is not None:
            self.names[name] = reply.results[0].result_id

    def op_submit(
        self,
        ops: list[dict[str, Any]],
        out: list[str],
        deps: list[str],
        options: dict[str, Any] | None = None,
        name: str = "sub",
    ) -> None:
        """Submit a subtask which executes ``ops``, remembered as ``$name``."""
        script = json.dumps({"ops": self._resolved(ops)}).encode()
        payload_id = self._create("submit", f"payload of {name}", script)
        request = agent_common_pb2.SubmitTasksRequest(
            session_id=self.request.session_id,
            communication_token=self.request.communication_token,
        )
        creation = request.task_creations.add(
            payload_id=payload_id or "",
            expected_output_keys=[self._id(ref) for ref in out],
            data_dependencies=[self._id(ref) for ref in deps],
        )
        if options is not None:
            ParseDict(options, creation.task_options)
        reply = self._call("submit", "SubmitTasks", request)
        if reply is not None:
            self.names[name] = reply.task_infos[0].task_id

    def op_fetch(self, result: str) -> None:
        """Ask the agent for a result which is not a data dependency."""
        self.op_rpc("GetResourceData", fields={"result_id": self._id(result)}, op="fetch")

    def op_rpc(
        self,
        rpc: str,
        fields: dict[str, Any] | None = None,
        token: str | None = None,
        op: str = "rpc",
    ) -> None:
        """Call the agent with any request and any communication token."""
        request_class = {
            "CreateResultsMetaData": agent_common_pb2.CreateResultsMetaDataRequest,
            "CreateResults": agent_common_pb2.CreateResultsRequest,
            "NotifyResultData": agent_common_pb2.NotifyResultDataRequest,
            "SubmitTasks": agent_common_pb2.SubmitTasksRequest,
        }.get(rpc, agent_common_pb2.DataRequest)
        request = ParseDict(self._resolved(fields or {}), request_class())
        request.communication_token = self.request.communication_token if token is None else token
        self._call(op, rpc, request)

    # Ends

    def op_fail(self, message: str) -> ProcessReply:
        """End with ``Output.error``; ``$name`` in the message becomes the remembered ID."""
        return _failure(string.Template(message).safe_substitute(self.names))

    def op_raise(self, code: str, message: str) -> NoReturn:
        """End the call with a gRPC status."""
        self.context.abort(grpc.StatusCode[code], message)
        raise AssertionError("abort returned")

    def op_throw(self, message: str) -> NoReturn:
        """End with an uncaught Python exception."""
        raise ThrownError(message)

    def op_crash(self) -> NoReturn:
        """End the process of the worker."""
        os._exit(3)

    def op_none(self, how: str) -> ProcessReply:
        """End with a reply without ``output``, or with an ``output`` that says nothing."""
        return ProcessReply(output=Output()) if how == "output" else ProcessReply()

    def op_expect(self, code: str) -> ProcessReply | None:
        """Fail unless the last call to the agent had this code."""
        last = self.calls[-1] if self.calls else {}
        return None if last.get("code") == code else _failure(f"expected {code}, got {last}")

    # Others

    def op_sleep(self, seconds: float) -> None:
        """Wait, but no longer than the agent does: a cancelled call goes on with the next op."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and self.context.is_active():
            time.sleep(min(left, 0.05))

    def op_report(self, to: str) -> None:
        """Send what this task has received and done so far, as JSON."""
        report = {
            "request": _as_dict(self.request),
            "files": {path.name: _described(path) for path in self.folder.iterdir()},
            "calls": self.calls,
            "active": self.active,
        }
        self.op_send(to, json.dumps(report))

    # Internals

    def _id(self, ref: str) -> str:
        if ref.startswith("@"):
            return str(self.request.expected_output_keys[int(ref[1:])])
        return self.names.get(ref[1:], ref) if ref.startswith("$") else ref

    def _resolved(self, value: Any) -> Any:
        """``value`` with every ``$name`` known here replaced; other references stay."""
        if isinstance(value, str):
            return self._id(value) if value.startswith("$") else value
        if isinstance(value, list):
            return [self._resolved(item) for item in value]
        if isinstance(value, dict):
            return {key: self._resolved(item) for key, item in value.items()}
        return value

    def _chunks(self, data: Any) -> list[bytes]:
        """Bytes of a string, of ``{"size": n}`` or of ``{"cat": [inputs]}``."""
        if isinstance(data, str):
            return [data.encode()]
        if "cat" in data:
            return [(self.folder / self._id(ref)).read_bytes() for ref in data["cat"]]
        size = int(data["size"])
        return [(PATTERN * (size // len(PATTERN) + 1))[:size]]

    def _create(self, op: str, name: str, data: bytes) -> str | None:
        request = agent_common_pb2.CreateResultsRequest(
            session_id=self.request.session_id,
            communication_token=self.request.communication_token,
        )
        request.results.add(name=name, data=data)
        reply = self._call(op, "CreateResults", request)
        if reply is None:
            return None
        self.names[name] = reply.results[0].result_id
        return self.names[name]

    def _notify(self, op: str, result_id: str) -> None:
        request = agent_common_pb2.NotifyResultDataRequest(
            communication_token=self.request.communication_token
        )
        request.ids.add(session_id=self.request.session_id, result_id=result_id)
        self._call(op, "NotifyResultData", request)

    def _call(self, op: str, rpc: str, request: Message) -> Any:
        """Reply of the agent, ``None`` when it refused."""
        try:
            call = getattr(self.agent, rpc)
            reply = call(request, timeout=AGENT_CALL_TIMEOUT_S, wait_for_ready=True)
        except grpc.RpcError as error:
            outcome: dict[str, Any] = {"code": error.code().name, "details": error.details()}
            reply = None
        else:
            outcome = {"code": "OK", "reply": _as_dict(reply)}
        self.calls.append({"op": op, "rpc": rpc, **outcome})
        return reply


class ScriptedWorker(ArmoniKWorker):  # type: ignore[misc]
    """Worker service: one script per task.

    Malformed replies and raw statuses need the request itself, so ``Process`` is overridden; an
    uncaught exception takes the path of the base class, as in any Python worker.
    """

    def __init__(self, agent_channel: grpc.Channel) -> None:
        super().__init__(agent_channel, _throw, logger=logger)
        self._lock = threading.Lock()
        self._active = 0

    def Process(  # noqa: N802
        self, request: ProcessRequest, context: grpc.ServicerContext
    ) -> ProcessReply | None:
        """Execute the script of one task."""
        with self._lock:
            self._active += 1
            active = self._active
        try:
            return Script(request, self._client, context, active).run()
        except ThrownError:
            return super().Process(request, context)
        finally:
            with self._lock:
                self._active -= 1


def _throw(_handler: TaskHandler) -> NoReturn:
    raise ThrownError("the script of the task asks for an exception")


def _failure(message: str) -> ProcessReply:
    return ProcessReply(output=Output(error=Output.Error(details=message)))


def _as_dict(message: Message) -> dict[str, Any]:
    fields: dict[str, Any] = MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return fields


def _described(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        head = file.read(FILE_HEAD)
    return {"size": path.stat().st_size, "head": head.decode("latin-1")}


def _address(channel: str, default: str) -> str:
    """Address of the worker or agent channel, in the form gRPC wants."""
    address = os.environ.get(f"ComputePlane__{channel}__Address", default)
    socket_type = os.environ.get(f"ComputePlane__{channel}__SocketType", "unixdomainsocket")
    if socket_type.lower() == "tcp":
        return address.rpartition("//")[2].rstrip("/")
    return address if address.startswith("unix:") else f"unix:{address}"


def main() -> int:
    """Serve tasks until the process is stopped."""
    ClefLogger.setup_logging(logging.INFO)
    agent = _address("AgentChannel", "/cache/armonik_agent.sock")
    address = _address("WorkerChannel", "/cache/armonik_worker.sock")
    # Several threads, so that health checks are answered while a task is processed.
    server = grpc.server(ThreadPoolExecutor(max_workers=4, thread_name_prefix="worker"))
    with grpc.insecure_channel(agent, AGENT_CHANNEL_OPTIONS) as channel:
        add_WorkerServicer_to_server(ScriptedWorker(channel), server)
        server.add_insecure_port(address)
        server.start()
        logger.info("scripted worker on {address}, agent on {agent}", address=address, agent=agent)
        server.wait_for_termination()
    return 0


if __name__ == "__main__":
    sys.exit(main())
