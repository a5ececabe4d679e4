"""The services without gRPC's server: requests as frames on a unix socket.

For the program that has this cluster for itself. The methods are those that gRPC serves, and get a
context that does as much as they ask of it.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from pymonik.wire.embedded import AnswerKind, DirectAnswer, request_decoder
from pymonik.wire.framing import FramingError, Inbox, framed
from pymonik.wire.status import Code

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from pymonik.wire.embedded import DirectRequest

logger = logging.getLogger(__name__)

# Seconds of pause where no connection can be accepted, for want of descriptors.
ACCEPT_AGAIN_S = 0.1
LEAVE_S = 1.0  # seconds that `stop` waits for the thread that accepts

_UP = framed(DirectAnswer(kind=AnswerKind.UP))


class _Services(Protocol):
    """As much of a `grpc.GenericRpcHandler` as is asked for here."""

    def service(self, handler_call_details: Any, /) -> Any:
        """The handler of a method, if it has it."""


class DirectServer:
    """Serves the handlers that are added to it, as `grpc.Server` does; a thread a connection."""

    def __init__(self) -> None:
        self._handlers: list[_Services] = []
        self._known: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._listener = socket.socket(socket.AF_UNIX)
        self._connections: dict[socket.socket, threading.Thread] = {}
        self._is_stopped = False
        self._acceptor = threading.Thread(target=self._accept, name="direct-doorman", daemon=True)

    def add_generic_rpc_handlers(self, handlers: Sequence[_Services]) -> None:
        """Serve these; the first one that knows a method has it."""
        self._handlers += handlers

    def start(self, path: Path) -> None:
        """Listen on a new socket, which only the user can reach."""
        self._listener.bind(str(path))
        path.chmod(0o600)
        self._listener.listen()
        self._acceptor.start()

    def stop(self) -> None:
        """Close all connections and wait for their threads; harmless when stopped."""
        with self._lock:
            if self._is_stopped:
                return
            self._is_stopped = True
            connections = dict(self._connections)
        for one in connections:
            with contextlib.suppress(OSError):  # the connection has just ended
                one.shutdown(socket.SHUT_RDWR)
        if self._acceptor.ident is not None:
            # Closing a socket does not wake a thread that waits in `accept` for it; a connection
            # does.
            with contextlib.suppress(OSError):  # no free descriptor: it ends with the process
                _wake(self._listener.getsockname())
            self._acceptor.join(LEAVE_S)
        for thread in connections.values():
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while not self._is_stopped:
            connection = self._next_connection()
            if connection is not None:
                self._welcome(connection)

    def _next_connection(self) -> socket.socket | None:
        try:
            return self._listener.accept()[0]
        except OSError as error:  # too many open files: later one may find room
            logger.warning("a connection could not be accepted: %s", error)
            time.sleep(ACCEPT_AGAIN_S)
            return None

    def _welcome(self, connection: socket.socket) -> None:
        thread = threading.Thread(
            target=self._serve, args=(connection,), name="direct", daemon=True
        )
        with self._lock:
            if self._is_stopped:
                connection.close()
                return
            try:
                thread.start()
            except RuntimeError as error:  # too many threads: later there may be room
                logger.warning("a connection could not be served: %s", error)
                connection.close()
                return
            self._connections[connection] = thread

    def _serve(self, connection: socket.socket) -> None:
        inbox = Inbox(connection)
        try:
            while self._serve_one(connection, inbox):
                pass
        except OSError as error:
            logger.debug("a connection ended: %s", error)
        except FramingError as error:
            logger.warning("a connection was closed: %s", error)
        finally:
            with self._lock:
                self._connections.pop(connection, None)
            connection.close()

    def _serve_one(self, connection: socket.socket, inbox: Inbox) -> bool:
        """Whether there may be another. A method, so that nothing of it is kept while waiting."""
        request = inbox.wait(request_decoder)
        if request is None:
            return False
        handler = self._handler(request.method)
        if handler is not None and handler.response_streaming:
            _stream(connection, inbox, handler, request)
            return False
        connection.sendall(framed(_answer(connection, handler, request)))
        return True

    def _handler(self, method: str) -> Any:
        known = self._known.get(method)
        if known is None:
            found = (handler.service(_Details(method)) for handler in self._handlers)
            known = next((one for one in found if one is not None), None)
            if known is not None:  # the names of others would be kept for ever
                self._known[method] = known
        return known


def _wake(path: str) -> None:
    """Connect, which is what `accept` waits for."""
    with socket.socket(socket.AF_UNIX) as last:
        last.settimeout(LEAVE_S)
        last.connect(path)


class _AbortedError(Exception):
    """What a method raises through its context."""

    def __init__(self, code: Code, details: str) -> None:
        super().__init__(details)
        self.code = code
        self.details = details


@dataclass(slots=True)
class _Details:
    """How a handler is asked for a method."""

    method: str
    invocation_metadata: tuple[tuple[str, str | bytes], ...] = ()


class DirectContext:
    """As much of `grpc.ServicerContext` as the services use.

    Attributes:
        payloads: See `DirectRequest`, as for ``outputs``.
    """

    def __init__(self, request: DirectRequest, connection: socket.socket) -> None:
        self.payloads = request.payloads
        self.outputs = request.outputs
        self._metadata = request.metadata
        self._connection = connection
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []
        self._is_active = True

    def invocation_metadata(self) -> Sequence[tuple[str, str]]:
        """What came with the request."""
        return self._metadata

    def is_active(self) -> bool:
        """Whether the client is still there, as far as is known."""
        return self._is_active

    def add_callback(self, callback: Callable[[], None]) -> bool:
        """Have this called when the client leaves; ``False`` if it has left."""
        with self._lock:
            if self._is_active:
                self._callbacks.append(callback)
            return self._is_active

    def send_initial_metadata(self, _metadata: object) -> None:
        """Tell that the stream is up."""
        _send(self._connection, _UP)

    def set_trailing_metadata(self, metadata: object) -> None:
        """For people who look at what gRPC sent: our client does not."""

    def abort(self, code: Code, details: str) -> NoReturn:
        """End the request with a status."""
        raise _AbortedError(code, details)

    def leave(self) -> None:
        """The client has left."""
        with self._lock:
            self._is_active = False
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()


def _answer(connection: socket.socket, handler: Any, request: DirectRequest) -> DirectAnswer:
    if handler is None or handler.request_streaming:
        return _failure(Code.UNIMPLEMENTED, "Unknown method")
    try:
        message = handler.request_deserializer(request.message)
        answer = handler.unary_unary(message, DirectContext(request, connection))
        return DirectAnswer(handler.response_serializer(answer))
    except Exception as error:  # noqa: BLE001  (the edge: the client must get an answer)
        return _told(error)


def _stream(connection: socket.socket, inbox: Inbox, handler: Any, request: DirectRequest) -> None:
    """Answer from a thread of its own: this one notices that the client leaves."""

    def write() -> None:
        for answer in _answers(handler, request, context):
            _send(connection, framed(answer))

    context = DirectContext(request, connection)
    writer = threading.Thread(target=write, name="direct-stream", daemon=True)
    writer.start()
    try:
        while inbox.pump():
            pass
    finally:
        context.leave()
        writer.join()


def _send(connection: socket.socket, frame: bytes) -> None:
    with contextlib.suppress(OSError):  # the client has left
        connection.sendall(frame)


def _answers(
    handler: Any, request: DirectRequest, context: DirectContext
) -> Iterator[DirectAnswer]:
    serialize = handler.response_serializer or bytes
    try:
        message = handler.request_deserializer(request.message)
        for answer in handler.unary_stream(message, context):
            yield DirectAnswer(serialize(answer))
            if not context.is_active():
                return
        yield DirectAnswer(kind=AnswerKind.END)
    except Exception as error:  # noqa: BLE001  (the edge, as above)
        yield _told(error)


def _told(error: Exception) -> DirectAnswer:
    if isinstance(error, _AbortedError):
        return _failure(error.code, error.details)
    logger.error("a request failed", exc_info=error)
    return _failure(Code.UNKNOWN, f"{type(error).__name__}: {error}")


def _failure(code: Code, details: str) -> DirectAnswer:
    return DirectAnswer(kind=AnswerKind.END, code=code, details=details)
