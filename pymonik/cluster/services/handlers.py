"""How a service's methods are found by their paths: for gRPC's server, and without gRPC."""

from __future__ import annotations

from collections.abc import Callable, Mapping  # noqa: TC003 - of a NamedTuple
from typing import Any, NamedTuple

from pymonik.cluster.services.answering import refuse
from pymonik.transport.methods import methods_of
from pymonik.wire.status import Code


class Handler(NamedTuple):
    """A method, as gRPC's server wants it: that asks an `grpc.RpcMethodHandler` for nothing else.

    ArmoniK's servicers and gRPC's own handlers import gRPC, which the direct socket does without.
    """

    request_deserializer: Callable[[bytes], Any] | None
    response_serializer: Callable[[Any], bytes] | None
    request_streaming: bool = False
    response_streaming: bool = False
    unary_unary: Callable[..., Any] | None = None
    unary_stream: Callable[..., Any] | None = None
    stream_unary: Callable[..., Any] | None = None
    stream_stream: Callable[..., Any] | None = None


def handler(
    behaviour: Callable[..., Any],
    request_deserializer: Callable[[bytes], Any] | None,
    response_serializer: Callable[[Any], bytes] | None = None,
    *,
    takes_stream: bool = False,
    gives_stream: bool = False,
) -> Handler:
    """The handler of a method.

    Args:
        behaviour: Called with the request, or an iterator of them, and the context.
        request_deserializer: Of its messages.
        response_serializer: Of its answers; without it they are bytes.
        takes_stream: Whether it takes a stream of requests.
        gives_stream: Whether it gives a stream of answers.
    """
    names = (("unary_unary", "unary_stream"), ("stream_unary", "stream_stream"))
    return Handler(
        request_deserializer,
        response_serializer,
        takes_stream,
        gives_stream,
        **{names[takes_stream][gives_stream]: behaviour},
    )


class Handlers:
    """Several methods, as much of a `grpc.GenericRpcHandler` as servers use.

    Args:
        handlers: By path.
    """

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self._handlers = handlers

    def service(self, handler_call_details: Any) -> Handler | None:
        """The handler of a method, if it is one of these."""
        return self._handlers.get(handler_call_details.method)


def handlers_of(service: object, module: Any) -> Handlers:
    """The methods of a service of ArmoniK's; those that it does not have are refused.

    Args:
        service: Its methods have the names of ArmoniK's.
        module: With the descriptor of that service only, such as ``results_service_pb2``.
    """
    (descriptor,) = module.DESCRIPTOR.services_by_name.values()
    return Handlers(
        {
            one.path: handler(
                getattr(service, one.name, _not_implemented),
                one.request.FromString,
                one.answer.SerializeToString,
                takes_stream=one.takes_stream,
                gives_stream=one.gives_stream,
            )
            for one in methods_of(descriptor)
        }
    )


def _not_implemented(_request: Any, context: Any) -> None:
    refuse(context, Code.UNIMPLEMENTED, "Method not implemented!")
