"""The methods of ArmoniK's services, as their descriptors tell them.

ArmoniK's own stubs and servicers import gRPC, which takes longer than all other modules of a client
together. A program that has the embedded cluster for itself asks over the direct socket, and loads
gRPC on neither side of it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from google.protobuf.message_factory import GetMessageClass


class Method(NamedTuple):
    """A method of a service.

    Attributes:
        path: As requests name it.
        request: The class of its messages, as for ``answer``.
        takes_stream: Whether it takes a stream of requests.
        gives_stream: Whether it gives a stream of answers.
    """

    path: str
    name: str
    request: Any
    answer: Any
    takes_stream: bool
    gives_stream: bool


def methods_of(service: Any) -> list[Method]:
    """The methods of a service.

    Args:
        service: Its descriptor, such as ``results_service_pb2.DESCRIPTOR.services_by_name[...]``.
    """
    return [
        Method(
            f"/{service.full_name}/{one.name}",
            one.name,
            GetMessageClass(one.input_type),
            GetMessageClass(one.output_type),
            one.client_streaming,
            one.server_streaming,
        )
        for one in service.methods
    ]


class Stub:
    """The methods of the only service of a module of ArmoniK's, to be called.

    Args:
        channel: Of gRPC, or a `DirectChannel`.
        module: Such as ``results_service_pb2``.
    """

    def __init__(self, channel: Any, module: Any) -> None:
        self._channel = channel
        (service,) = module.DESCRIPTOR.services_by_name.values()
        self._methods = {one.name: one for one in methods_of(service)}

    def __getattr__(self, name: str) -> Any:
        """What makes requests of this method; made when it is first asked for."""
        if name.startswith("_") or name not in self._methods:
            raise AttributeError(name)
        one = self._methods[name]
        kinds = (("unary_unary", "unary_stream"), ("stream_unary", "stream_stream"))
        make = getattr(self._channel, kinds[one.takes_stream][one.gives_stream])
        made = make(
            one.path,
            request_serializer=one.request.SerializeToString,
            response_deserializer=one.answer.FromString,
        )
        setattr(self, name, made)
        return made
