"""What the direct socket serves besides ArmoniK's services: the data of many small results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import msgspec

from pymonik.core.embedded import SMALL_DATA

if TYPE_CHECKING:
    from pymonik.cluster.control_plane import ControlPlane


class SmallData(grpc.GenericRpcHandler):
    """The method of that name; see `pymonik.core.embedded`."""

    def __init__(self, control_plane: ControlPlane) -> None:
        self._handler = grpc.unary_unary_rpc_method_handler(
            lambda ids, _context: control_plane.small_data(ids),
            request_deserializer=msgspec.msgpack.Decoder(list[str]).decode,
            response_serializer=msgspec.msgpack.encode,
        )

    def service(self, handler_call_details: Any) -> Any:
        """The handler, if it is asked for."""
        return self._handler if handler_call_details.method == SMALL_DATA else None
