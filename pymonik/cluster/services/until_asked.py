"""The public socket of a cluster until somebody comes to it: then gRPC is loaded and takes over.

::

    the address  ── bound here ──► somebody connects ──► gRPC is loaded, bound beside it,
                                                          and renamed to the address
    who came before that ◄──── bytes, as they come ────► gRPC

A program that has the cluster for itself asks over the direct socket. Few others ever come: people
with commands, clients in other languages. So gRPC, the largest part of what a cluster would load
and a fifth of its memory, waits for the first of them, who notices nothing but that it takes a
little longer.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_log = logging.getLogger(__name__)

_PORTION = 1 << 16  # bytes that are passed on together
_LATE_S = 1.0  # for which connections are taken that were on their way when the socket was renamed
_LEAVE_S = 10.0  # for the thread to end: it may be loading gRPC


class UntilAsked:
    """Listens in the place of a server that is made when somebody connects.

    Args:
        path: The address.
        serve: Makes the server, which listens at the path that it is given when this returns.
    """

    def __init__(self, path: Path, serve: Callable[[Path], object]) -> None:
        self._path = path
        self._serve = serve
        self._beside = path.with_name("public.sock")  # shorter: addresses have a longest length
        self._listener = socket.socket(socket.AF_UNIX)
        self._left, self._leave = os.pipe()
        self._thread = threading.Thread(target=self._run, name="public-doorman", daemon=True)

    def start(self) -> None:
        """Listen, on a socket that only the user can reach."""
        self._listener.bind(str(self._path))
        self._path.chmod(0o600)
        self._listener.listen()
        self._thread.start()

    def stop(self) -> None:
        """Listen no more, unless the server has taken over; afterwards it is not made any more."""
        with contextlib.suppress(OSError):
            os.write(self._leave, b"x")
        if self._thread.ident is not None:  # else it could not be started
            self._thread.join(_LEAVE_S)
        if not self._thread.is_alive():
            self._listener.close()
            os.close(self._left)
            os.close(self._leave)

    def _run(self) -> None:
        with self._listener:
            if not self._has_come(None):
                return
            try:
                self._serve(self._beside)
                self._beside.chmod(0o600)
                # One step: whoever connects finds this socket or that one.
                self._beside.rename(self._path)
            except Exception:  # noqa: BLE001 - the edge: whoever has come gets no answer
                _log.exception("the public API cannot be served over gRPC")
                return
            while self._has_come(_LATE_S):
                with contextlib.suppress(OSError):  # it has left again
                    self._pass_on(self._listener.accept()[0])

    def _has_come(self, most_s: float | None) -> bool:
        """Wait until somebody connects; not when this is to stop, or the time is over."""
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        poll.register(self._left, select.POLLIN)
        found = dict(poll.poll(None if most_s is None else most_s * 1000))
        return self._listener.fileno() in found and self._left not in found

    def _pass_on(self, theirs: socket.socket) -> None:
        """Connect somebody who came early with the server, for as long as both want."""
        threading.Thread(
            target=_pass, args=(theirs, str(self._path)), name="public-passage", daemon=True
        ).start()


def _pass(theirs: socket.socket, path: str) -> None:
    with theirs, socket.socket(socket.AF_UNIX) as server, contextlib.suppress(OSError):
        server.connect(path)
        other = {theirs.fileno(): server, server.fileno(): theirs}
        poll = select.poll()
        for fd in other:
            poll.register(fd, select.POLLIN)
        while True:
            for fd, _ in poll.poll():
                data = os.read(fd, _PORTION)
                if not data:  # one of them has left
                    return
                other[fd].sendall(data)
