"""Whether somebody still listens on the unix socket of a control plane on this machine."""

from __future__ import annotations

import socket
import time
from typing import Final

# Seconds without a question after which a refusal begins a new outage: whoever waits asks again
# every two seconds, and nobody asks while requests are answered.
_UNASKED_S: Final = 10.0


class Listener:
    """The process behind a unix socket, as its clients see it.

    A control plane elsewhere may be away for any time and come back; nobody behind a socket of this
    machine means that its process has ended. One that is started again on the same path within
    ``patience_s`` counts as the same.

    Args:
        endpoint: As gRPC writes it: ``unix:///path``.
        patience_s: Seconds for which a socket may refuse connections.
    """

    def __init__(self, endpoint: str, patience_s: float) -> None:
        self._path = endpoint.removeprefix("unix:").replace("//", "/", 1)
        self._patience_s = patience_s
        self._refused_since: float | None = None
        self._refused_last = 0.0

    def is_alive(self) -> bool:
        """Whether somebody listens, or did until a moment ago; several threads may ask."""
        if self._answers():
            self._refused_since = None
            return True
        now, since = time.monotonic(), self._refused_since
        if since is None or now - self._refused_last > _UNASKED_S:
            self._refused_since = since = now
        self._refused_last = now
        return now - since < self._patience_s

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(self._patience_s)
            try:
                client.connect(self._path)
            except (ConnectionRefusedError, FileNotFoundError):
                return False
            except OSError:  # the queue is full, or we have no descriptor left: somebody is there
                return True
        return True
