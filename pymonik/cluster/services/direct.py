"""The services without gRPC's server: requests as frames on a unix socket.

For the program that has this cluster for itself. The methods are those that gRPC serves, and get a
context that does as much as they ask of it.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
import msgspec

from pymonik.core.embedded import DirectAnswer, request_decoder
from pymonik.core.framing import Inbox, framed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pymonik.core.embedded import DirectRequest

logger = logging.getLogger(__name__)

_UP = framed(DirectAnswer())
_END = framed(DirectAnswer(is_last=True))


class DirectServer:
    """Serves the handlers that are added to it, as `grpc.Server` does; a thread a connection."""

    def __init__(self) -> None:
        self._handlers: list[grpc.GenericRpcHandler] = []
        self._known: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._listener = socket.socket(socket.AF_UNIX)
        self._connections: dict[socket.socket, threading.Thread] = {}
        self._is_stopped = False
        self._acceptor = threading.Thread(target=self._accept, name="direct-acceptor", daemon=True)

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Serve these; the first one that knows a method has it."""
        self._handlers += handlers

    def start(self, path: Path) -> None:
        """Listen on a new socket, which only the user can reach."""
        self._listener.bind(str(path))
        path.chmod(0o600)
        self._listener.listen()
        self._acceptor.start()

    def stop(self) -> None:
        """Close all connections and wait for their threads."""
        with self._lock:
            self._is_stopped = True
            connections = dict(self._connections)
        for one in (self._listener, *connections):
            with contextlib.suppress(OSError):  # not connected, or not any more
                one.shutdown(socket.SHUT_RDWR)
        for thread in (self._acceptor, *connections.values()):
            if thread.ident is not None:
                thread.join()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # stopped
            while True:
                connection, _ = self._listener.accept()
                thread = threading.Thread(
                    target=self._serve, args=(connection,), name="direct", daemon=True
                )
                with self._lock:
                    if self._is_stopped:
                        connection.close()
                        return
                    self._connections[connection] = thread
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        inbox = Inbox(connection)
        try:
            while (request := inbox.wait(request_decoder)) is not None:
                handler = self._handler(request.method)
                if handler is not None and handler.response_streaming:
                    _stream(connection, inbox, handler, request)
                    return
                connection.sendall(framed(_answer(handler, request)))
        except (OSError, msgspec.DecodeError) as error:
            logger.debug("a connection ended: %s", error)
        finally:
            with self._lock:
                self._connections.pop(connection, None)
            connection.close()

    def _handler(self, method: str) -> Any:
        if method not in self._known:
            found = (handler.service(_Details(method)) for handler in self._handlers)
            self._known[method] = next((one for one in found if one is not None), None)
        return self._known[method]


class _Aborted(Exception):
    """What a method raises through its context."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self.answer = DirectAnswer(code=code.value[0], details=details, is_last=True)


@dataclass(frozen=True, slots=True)
class _Details:
    """How a handler is asked for a method."""

    method: str
    invocation_metadata: tuple[()] = ()


class _Context:
    """As much of `grpc.ServicerContext` as the services use."""

    def __init__(self, request: DirectRequest, is_up: Callable[[], None]) -> None:
        self._metadata = request.metadata
        self._is_up = is_up
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []
        self._is_active = True

    def invocation_metadata(self) -> Sequence[tuple[str, str]]:
        return self._metadata

    def is_active(self) -> bool:
        return self._is_active

    def add_callback(self, callback: Callable[[], None]) -> bool:
        with self._lock:
            if self._is_active:
                self._callbacks.append(callback)
            return self._is_active

    def send_initial_metadata(self, _metadata: object) -> None:
        self._is_up()

    def set_trailing_metadata(self, metadata: object) -> None:
        """For people who look at what gRPC sent: our client does not."""

    def abort(self, code: grpc.StatusCode, details: str) -> None:
        raise _Aborted(code, details)

    def leave(self) -> None:
        """The client has left."""
        with self._lock:
            self._is_active = False
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()


def _answer(handler: Any, request: DirectRequest) -> DirectAnswer:
    if handler is None or handler.request_streaming:
        return DirectAnswer(code=grpc.StatusCode.UNIMPLEMENTED.value[0], details="Unknown method")
    try:
        message = handler.request_deserializer(request.message)
        answer = handler.unary_unary(message, _Context(request, lambda: None))
        return DirectAnswer(handler.response_serializer(answer))
    except _Aborted as aborted:
        return aborted.answer


def _stream(
    connection: socket.socket, inbox: Inbox, handler: Any, request: DirectRequest
) -> None:
    """Answer from a thread of its own: this one notices that the client leaves."""
    context = _Context(request, lambda: connection.sendall(_UP))
    writer = threading.Thread(
        target=_write, args=(connection, handler, request, context), name="direct-stream"
    )
    writer.start()
    try:
        while inbox.pump():
            pass
    finally:
        context.leave()
        writer.join()


def _write(
    connection: socket.socket, handler: Any, request: DirectRequest, context: _Context
) -> None:
    serialize = handler.response_serializer or bytes
    try:
        message = handler.request_deserializer(request.message)
        for answer in handler.unary_stream(message, context):
            connection.sendall(framed(DirectAnswer(serialize(answer))))
        connection.sendall(_END)
    except _Aborted as aborted:
        with contextlib.suppress(OSError):
            connection.sendall(framed(aborted.answer))
    except OSError as error:  # the client has left
        logger.debug("a stream ended: %s", error)
