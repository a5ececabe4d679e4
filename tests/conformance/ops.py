"""Ops of the scripted worker: each function builds one op of the script of a task.

References (``to``, ``out``, ``deps``, ``result``): an ID, ``@k`` for the k-th expected output of
the task that executes the op, ``$name`` for what it created under this name.
Data: text, :func:`size` or :func:`cat`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

Op = dict[str, Any]
Data = str | dict[str, Any]

PATTERN = b"0123456789abcdef"


def script(ops: Sequence[Op]) -> bytes:
    """Payload of a task which executes ``ops``."""
    return json.dumps({"ops": list(ops)}).encode()


def size(count: int) -> Data:
    """Data of ``count`` bytes, see :func:`pattern`."""
    return {"size": count}


def pattern(count: int) -> bytes:
    """The bytes that :func:`size` stands for."""
    return (PATTERN * (count // len(PATTERN) + 1))[:count]


def cat(*inputs: str) -> Data:
    """Data made of the content of inputs of the task."""
    return {"cat": list(inputs)}


def send(to: str, data: Data) -> Op:
    """Write a result in the data folder and notify the agent."""
    return {"op": "send", "to": to, "data": data}


def notify(to: str) -> Op:
    """Notify the agent of a result without writing its file."""
    return {"op": "notify", "to": to}


def create(name: str, data: Data) -> Op:
    """Create a result with its data, remembered as ``$name``."""
    return {"op": "create", "name": name, "data": data}


def create_meta(name: str) -> Op:
    """Create a result without data, remembered as ``$name``."""
    return {"op": "create_meta", "name": name}


def submit(
    ops: Sequence[Op],
    *,
    out: Sequence[str] = (),
    deps: Sequence[str] = (),
    options: dict[str, Any] | None = None,
    name: str = "sub",
) -> Op:
    """Submit a subtask, remembered as ``$name``; in its ``ops``, ``$name`` of the parent works."""
    return {
        "op": "submit",
        "ops": list(ops),
        "out": list(out),
        "deps": list(deps),
        "options": options,
        "name": name,
    }


def fetch(result: str) -> Op:
    """Ask the agent for any result."""
    return {"op": "fetch", "result": result}


def sleep(seconds: float) -> Op:
    """Wait; a cancelled call goes on at once with the next op."""
    return {"op": "sleep", "seconds": seconds}


def report(to: str = "@0") -> Op:
    """Send ``{request, files, calls, active}`` as JSON: what the task received and did so far."""
    return {"op": "report", "to": to}


def fail(message: str) -> Op:
    """End with ``Output.error``; ``$name`` in the message becomes the remembered ID."""
    return {"op": "fail", "message": message}


def raise_(code: str, message: str = "raised by the script") -> Op:
    """End the call with a gRPC status."""
    return {"op": "raise", "code": code, "message": message}


def throw(message: str = "thrown by the script") -> Op:
    """End with an uncaught Python exception."""
    return {"op": "throw", "message": message}


def crash() -> Op:
    """End the process of the worker."""
    return {"op": "crash"}


def none(how: str = "reply") -> Op:
    """End with a reply without ``output`` (``"reply"``), or with an empty one (``"output"``)."""
    return {"op": "none", "how": how}


def rpc(name: str, *, token: str | None = None, **fields: Any) -> Op:
    """Call the agent with any request, and with another communication token unless ``None``."""
    return {"op": "rpc", "rpc": name, "token": token, "fields": fields}


def expect(code: str) -> Op:
    """End with ``Output.error`` unless the last call to the agent had this code."""
    return {"op": "expect", "code": code}


def first(count: int, counter: str, op: Op) -> Op:
    """Execute ``op`` the first ``count`` times only, counted in the file ``counter``."""
    return {**op, "first": count, "counter": counter}
