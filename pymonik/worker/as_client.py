"""`AsClient`: what a worker does at the control plane, as any client, while its task runs.

What an agent is given exists only once the task has ended well, and it deletes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pymonik.transport.channel import open_channel
from pymonik.transport.config import ClusterConfig
from pymonik.transport.control_plane import ControlPlane

if TYPE_CHECKING:
    from collections.abc import Sequence

_CONNECT_S: Final = 2.0  # seconds for the first request, while the worker starts
_REQUEST_S: Final = 10.0  # seconds in which any other must be answered


class AsClient:
    """Requests of a worker to the control plane.

    Args:
        endpoint: Of the control plane.
        certificates: As `ClusterConfig` has them.

    Raises:
        ControlPlaneError: It does not answer within two seconds.
        ConfigError: The endpoint or a certificate cannot be used.
    """

    def __init__(self, endpoint: str, certificates: dict[str, Any]) -> None:
        channel = open_channel(ClusterConfig(endpoint, **certificates))
        self._plane = ControlPlane(channel, endpoint=endpoint, timeout_s=_REQUEST_S, patience_s=0.0)
        try:
            self._chunk_bytes = self._plane.connect(_CONNECT_S)
        except BaseException:
            channel.close()
            raise

    def create(self, session_id: str, name: str, data: bytes) -> str:
        """A result that is there at once; its id."""
        return self._plane.create_results(session_id, [(name, data)])[0]

    def replace(self, session_id: str, result_id: str, data: bytes) -> None:
        """Give a result other data."""
        self._plane.upload(session_id, result_id, lambda: [data], self._chunk_bytes)

    def forget(self, result_ids: Sequence[str]) -> None:
        """Delete the data of results."""
        self._plane.delete_data(result_ids)
