"""What AWS Lambda gives a handler besides the event: its context, and variables of the process."""

from __future__ import annotations

import functools
import os
import time
import uuid
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from pymonik.launch import memory
from pymonik.wire.call import MEMORY_LABEL, archive_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymonik.context.task_context import PymonikContext
    from pymonik.executor.frames import Run
    from pymonik.wire.call import LambdaHandler

_MEMORY_VARIABLE: Final = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"
_NO_LIMIT_MS: Final = 365 * 86_400_000  # a year: handlers do arithmetic with it, so it is a number
_VERSION_LENGTH: Final = 16  # characters of the digest


def version_of(definition: LambdaHandler) -> str:
    """What stands for the version of a function: the content of its zip."""
    return archive_of(definition)[:_VERSION_LENGTH] or "$LATEST"


def lambda_variables(definition: LambdaHandler, folder: str) -> dict[str, str]:
    """Variables that libraries look for; an executor has those of one function."""
    return {
        "_HANDLER": definition.handler,
        "AWS_LAMBDA_FUNCTION_NAME": definition.name,
        "AWS_LAMBDA_FUNCTION_VERSION": version_of(definition),
        "AWS_LAMBDA_LOG_GROUP_NAME": _log_group(definition),
        "LAMBDA_TASK_ROOT": folder,
    }


class Identity:
    """The identity that AWS gives of callers in mobile applications: empty here."""

    cognito_identity_id: str | None = None
    cognito_identity_pool_id: str | None = None


_NOBODY: Final = Identity()


class Client:
    """The application of the caller."""

    def __init__(self, given: dict[str, Any]) -> None:
        for name in ("installation_id", "app_title", "app_version_name", "app_version_code",
                     "app_package_name"):  # fmt: skip
            setattr(self, name, given.get(name))


class ClientContext:
    """What the caller has given as ``pmk_client_context``."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.client = Client(given.get("client") or {})
        self.custom: dict[str, Any] | None = given.get("custom")
        self.env: dict[str, Any] | None = given.get("env")


class LambdaContext:
    """The second argument of a handler: what AWS gives, and ``pymonik``.

    Attributes:
        function_name: That of the handler, unless the task has another.
        function_version: The start of the digest of the zip.
        log_stream_name: The id of the task.
        client_context: What the caller has given, or ``None``.
        pymonik: The `PymonikContext` of the task.
    """

    def __init__(
        self,
        definition: LambdaHandler,
        run: Run,
        *,
        index: int,
        started: float,
        client_context: dict[str, Any] | None,
        pymonik: Callable[[], PymonikContext],
    ) -> None:
        self._run = run
        self._index = index
        self.function_name = definition.name
        self.function_version = version_of(definition)
        self.log_group_name = _log_group(definition)
        self.log_stream_name = run.task_id
        self.identity = _NOBODY
        self.client_context = None if client_context is None else ClientContext(client_context)
        limit = run.options.max_duration
        self._end = None if limit is None else started + limit.total_seconds()
        self._pymonik = pymonik

    # Made when they are read: a handler that takes no time would wait for them.

    @cached_property
    def aws_request_id(self) -> str:
        """The id of the call: each of a chunk has its own, and keeps it at all attempts."""
        return _request_id(self._run, self._index)

    @cached_property
    def memory_limit_in_mb(self) -> int:
        """What the task may use, or the machine has."""
        return _memory_mb(self._run)

    @cached_property
    def invoked_function_arn(self) -> str:
        """In the form that AWS has: of no account."""
        name, version = self.function_name, self.function_version
        return f"arn:aws:lambda:local:000000000000:function:{name}:{version}"

    @property
    def pymonik(self) -> PymonikContext:
        """The context of the task, as functions of pymonik have it."""
        return self._pymonik()

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the task is ended: of a chunk, all of its calls together."""
        if self._end is None:
            return _NO_LIMIT_MS
        return max(0, int((self._end - time.monotonic()) * 1000))

    def log(self, text: object) -> None:
        """Print, as the context of AWS does."""
        print(text)  # noqa: T201

    def __repr__(self) -> str:
        return (
            f"LambdaContext(aws_request_id={self.aws_request_id!r}, "
            f"function_name={self.function_name!r}, function_version={self.function_version!r})"
        )


def _log_group(definition: LambdaHandler) -> str:
    return f"/pymonik/{definition.name}"


def _request_id(run: Run, index: int) -> str:
    """An id made of output and place, so that all attempts at the call have the same."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{run.output_id or run.task_id}/{index}"))


def _memory_mb(run: Run) -> int:
    given = run.options.options.get(MEMORY_LABEL) or os.environ.get(_MEMORY_VARIABLE)
    if given and given.isdecimal():
        nbytes = int(given)
        return nbytes >> 20 if nbytes > 1 << 20 else nbytes
    return _memory_of_machine() >> 20


@functools.cache
def _memory_of_machine() -> int:
    """The memory that this machine has, in bytes; kept, as reading it takes as long as a call."""
    return memory.total()
