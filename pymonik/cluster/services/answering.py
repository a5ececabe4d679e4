"""What all services share: faults of the control plane become statuses of gRPC."""

from __future__ import annotations

import base64
import functools
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from pymonik.cluster.services.direct import DirectContext
from pymonik.cluster.state.faults import BrokenRule, Fault, NoRoom, Unknown, ValidationFailed
from pymonik.wire.status import Code

logger = logging.getLogger(__name__)

RULES_TRAILER = "validation-errors-text"  # metadata behind the answer, as ArmoniK names it

Method = TypeVar("Method", bound=Callable[..., Any])


def answering(method: Method) -> Method:
    """Make a unary method abort its call with the code and text of the `Fault` it raises."""

    @functools.wraps(method)
    def answer(self: Any, request: Any, context: Any) -> Any:
        try:
            return method(self, request, context)
        except Exception as error:  # noqa: BLE001  (the edge: the client must get an answer)
            _abort(context, error)

    return answer  # type: ignore[return-value]


def streaming(method: Method) -> Method:
    """Like `answering`, for a method that answers with a stream."""

    @functools.wraps(method)
    def answer(self: Any, request: Any, context: Any) -> Iterator[Any]:
        try:
            yield from method(self, request, context)
        except Exception as error:  # noqa: BLE001  (the edge: the client must get an answer)
            # A client that has left cannot be answered: only what is no refusal is still worth a
            # log.
            if context.is_active() or not isinstance(error, Fault):
                _abort(context, error)

    return answer  # type: ignore[return-value]


def refuse(context: Any, code: Code, details: str) -> None:
    """End a request with a status; raises what ends it."""
    if isinstance(context, DirectContext):
        context.abort(code, details)
    import grpc  # loaded, since the context is its own; it knows no statuses but those of its own

    context.abort(grpc.StatusCode[code.name], details)


def _abort(context: Any, error: Exception) -> None:
    if not context.is_active():
        raise error
    if isinstance(error, Unknown):
        logger.info("request refused as unknown: %s", error.reason)
    if isinstance(error, ValidationFailed):
        context.set_trailing_metadata(((RULES_TRAILER, _written(error.rules)),))
    if isinstance(error, Fault):
        refuse(context, Code[error.code], error.detail)
    if isinstance(error, OSError):
        refuse(context, Code[NoRoom.code], NoRoom(str(error)).detail)
    logger.error("a request failed", exc_info=error)
    refuse(context, Code.UNKNOWN, Unknown().detail)


def _written(rules: Sequence[BrokenRule]) -> str:
    """Broken rules for programs, as ArmoniK's validation writes them: JSON in base64."""
    found = [
        {"PropertyName": rule.path, "ErrorMessage": rule.message, "AttemptedValue": rule.value}
        for rule in rules
    ]
    return base64.b64encode(json.dumps(found).encode()).decode()
