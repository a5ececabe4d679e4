"""Opens the session of a client: connection, then the session that has its name, or a new one."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pymonik.client import ending  # noqa: F401 - loaded before there is a session to be ended
from pymonik.client.creating import create_session
from pymonik.client.place import find_place
from pymonik.code.program import Program
from pymonik.runs import log_lines
from pymonik.runs.output import shown
from pymonik.transport.control_plane import ControlPlane
from pymonik.transport.direct import DirectChannel
from pymonik.transport.forgotten import ForgottenSessions
from pymonik.transport.listener import Listener
from pymonik.transport.messages import DEFAULTS
from pymonik.transport.opening import open_session

if TYPE_CHECKING:
    from pymonik.client.place import Place
    from pymonik.client.wishes import Wishes
    from pymonik.runs.rows import SessionRow
    from pymonik.session.remote import RemoteSession

# Seconds in which a cluster on this machine may be started again at the same socket: until then a
# socket without a listener does not mean that everything is lost.
_RESTART_S = 30.0

forgotten = ForgottenSessions()  # of the embedded cluster of this process


@dataclass(frozen=True, slots=True)
class Opened:
    """How a session was opened.

    The session is not in it: a client that has ended keeps this, and a session is forgotten once
    nothing refers to it.

    Attributes:
        was_there: It existed before this client came to it.
    """

    place: Place
    was_there: bool

    @property
    def is_local(self) -> bool:
        """Whether it is in a cluster that ends with this process, or before."""
        return self.place.cluster is not None


def open_client(wishes: Wishes) -> tuple[RemoteSession, Opened]:
    """Connect, and open the session.

    Raises:
        ConfigError: The endpoint or a certificate cannot be used.
        UnavailableError: No control plane answers there.
        ControlPlaneError: It refuses the session.
    """
    if is_recorded := bool(wishes.name) or wishes.on_exit == "keep":
        # Before anything is asked: a cluster that is restarted just then would have more time to
        # end between two requests, the second of which is made once.
        import pymonik.kept.call_keys
        import pymonik.kept.joining  # noqa: F401
    place = find_place(wishes)
    with ExitStack() as opened:
        plane, settings = _connect(wishes, place, opened)
        settings |= _around(wishes, place)
        row = _named(plane, wishes.name) if wishes.name else None
        if row is None:
            session_id, partitions, options = create_session(plane, wishes)
        else:
            session_id, partitions = row.session_id, list(row.partitions)
            options = wishes.options.over(DEFAULTS)
        if is_recorded:
            settings |= _recorded(plane, row, wishes)
        session = open_session(
            plane,
            session_id,
            environment=wishes.environment,
            options=options,
            partitions=partitions,
            # What others can find is not forgotten when this client lets go of it.
            forgets="recording" not in settings,
            is_private=place.cluster is not None and "recording" not in settings,
            **settings,
        )
        # The session keeps the connection: results can be fetched after its end.
        opened.pop_all()
    log_lines.opened(place.config.endpoint, session_id, partitions, wishes.environment)
    # Sessions of before are deleted beside, once this one is open: nobody waits for that.
    if place.is_shared:
        forgotten.delete(plane)
    return session, Opened(place, was_there=row is not None)


def _named(plane: ControlPlane, name: str) -> SessionRow | None:
    from pymonik.kept.joining import find_session

    return find_session(plane.lists, name)


def _recorded(plane: ControlPlane, row: SessionRow | None, wishes: Wishes) -> dict[str, Any]:
    """What a session is opened with that others are to find again.

    Its calls have keys, which take what the cache has. Other sessions load nothing of it.
    """
    from pymonik.kept.call_keys import CallKeys
    from pymonik.kept.joining import join
    from pymonik.session.recording import Recording

    keys = CallKeys(wishes.environment)
    if row is None:
        return {"recording": Recording(keys)}
    joined = join(plane.lists, row, keys)
    return {"nonces": joined.nonces, "recording": joined.recording}


def _connect(
    wishes: Wishes, place: Place, opened: ExitStack
) -> tuple[ControlPlane, dict[str, Any]]:
    """The control plane once it has answered, and what the session must know of the way there."""
    settings: dict[str, Any] = {}
    is_direct = place.cluster is not None and wishes.is_direct
    channel: Any
    if place.cluster is not None and is_direct:
        channel = DirectChannel(place.cluster.direct_socket, lambda: _over_grpc(place))
        settings["direct_socket"] = place.cluster.direct_socket
    else:
        channel = _over_grpc(place)
    opened.callback(channel.close)
    plane = ControlPlane(
        channel,
        endpoint=place.config.endpoint,
        timeout_s=wishes.request_timeout_s,
        patience_s=wishes.patience_s,
        is_direct=is_direct,
    )
    settings["chunk_bytes"] = plane.connect(wishes.connect_timeout_s)
    return plane, settings


def _over_grpc(place: Place) -> Any:
    from pymonik.transport.channel import open_channel  # brings gRPC, which few local programs need

    return open_channel(place.config)


def _around(wishes: Wishes, place: Place) -> dict[str, Any]:
    """What else the session is told of this machine and of what was asked for."""
    cluster, folder = place.cluster, wishes.storage_folder
    settings: dict[str, Any] = {}
    if cluster is not None:
        folder = folder or cluster.storage_folder
        settings["is_alive"] = cluster.is_alive
    elif place.config.endpoint.startswith("unix:"):
        restart_s = min(wishes.patience_s, _RESTART_S)
        settings["is_alive"] = Listener(place.config.endpoint, restart_s).is_alive
    include, exclude = wishes.program
    shares_paths = cluster is not None and cluster.shares_paths
    return settings | {
        "storage_folder": folder if wishes.is_direct else None,
        "program": Program(include, exclude, shares_paths=shares_paths),
        "batch_tasks": wishes.batch_tasks,
        "patience_s": wishes.patience_s,
        "polling_s": wishes.polling_s,
        "hears": wishes.polling_s is None,
        "tells_locals": wishes.tells_locals,
        "show": shown(wishes.output),
    }
