"""Requests to the embedded cluster without HTTP/2: over a unix socket, as frames.

The same requests to the same services as over gRPC, which takes half a millisecond for one and its
answer on one machine; a socket takes a tenth of that. A connection carries one request at a time,
or one stream; there are as many as threads use at once.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import deque
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from pymonik.wire.embedded import AnswerKind, DirectAnswer, DirectRequest, answer_decoder
from pymonik.wire.framing import Inbox, framed
from pymonik.wire.status import Code

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

_MOST_IDLE = 8  # connections that are kept open for the next requests
_CONNECT_S = 10.0  # to connect for a stream: nobody accepts while the other process stands still


class DirectError(Exception):
    """A request that failed; tells what a `grpc.RpcError` would."""

    def __init__(self, code: Code, details: str) -> None:
        super().__init__(details)
        self._code = code
        self._details = details

    def code(self) -> Code:
        """Why."""
        return self._code

    def details(self) -> str:
        """What the other side said."""
        return self._details


class DirectChannel:
    """As much of `grpc.Channel` as the stubs need.

    Args:
        path: The socket.
        open_grpc: Opens the channel for what has a stream of requests: few programs upload that
            much in another way than by a file. It belongs to this object.
    """

    def __init__(self, path: Path, open_grpc: Callable[[], Any]) -> None:
        self._path = str(path)
        self._open_grpc = open_grpc
        self._grpc: Any = None
        self._opening = threading.RLock()  # guards it; a signal handler may upload too
        # Taken and given back in one step each, without a lock: a signal handler that makes a
        # request would wait for ever for a lock of the thread that it has interrupted.
        self._idle: deque[_Connection] = deque()
        self._most_idle = _MOST_IDLE

    def stream_unary(self, *of_method: Any, **serializers: Any) -> Callable[..., Any]:
        """What sends a stream of requests and gives its answer: over gRPC."""

        def call(*request: Any, **settings: Any) -> Any:
            return self._over_grpc().stream_unary(*of_method, **serializers)(*request, **settings)

        return call

    def unary_unary(
        self,
        method: str,
        request_serializer: Callable[[Any], bytes] = bytes,
        response_deserializer: Callable[[bytes], Any] = bytes,
        **_: object,
    ) -> Callable[..., Any]:
        """What makes one request and gives its answer."""

        def call(
            request: Any,
            timeout: float | None = None,
            metadata: Sequence[tuple[str, str]] = (),
            payloads: Sequence[bytes] = (),
            outputs: Sequence[str] = (),
        ) -> Any:
            message = request_serializer(request)
            sent = DirectRequest(method, message, list(metadata), list(payloads), list(outputs))
            return response_deserializer(self._answer(sent, timeout))

        return call

    def unary_stream(
        self,
        method: str,
        request_serializer: Callable[[Any], bytes] = bytes,
        response_deserializer: Callable[[bytes], Any] = bytes,
        **_: object,
    ) -> Callable[..., DirectStream]:
        """What makes one request and gives the stream of its answers."""

        def call(
            request: Any, timeout: float | None = None, metadata: Sequence[tuple[str, str]] = ()
        ) -> DirectStream:
            connection = _Connection(self._path, _CONNECT_S)
            connection.send(DirectRequest(method, request_serializer(request), list(metadata)))
            connection.set_timeout(timeout)
            return DirectStream(connection, response_deserializer)

        return call

    def rest(self) -> None:
        """Keep no connection from now on: a request opens one for itself."""
        self._most_idle = 0
        with contextlib.suppress(IndexError):
            while True:
                self._idle.pop().close()

    def close(self) -> None:
        """Close what is not in use now, and the rest when it is not any more."""
        self.rest()
        with self._opening:
            if self._grpc is not None:
                self._grpc.close()

    def _over_grpc(self) -> Any:
        with self._opening:
            if self._grpc is None:
                self._grpc = self._open_grpc()
            return self._grpc

    def _answer(self, request: DirectRequest, timeout: float | None) -> bytes:
        connection = self._take(timeout)
        try:
            connection.set_timeout(timeout)
            connection.send(request)
            answer = connection.receive()
        except BaseException:  # Ctrl-C too: an answer that nobody has read would be the next one's
            connection.close()
            raise
        self._give_back(connection)
        return _checked(answer).message

    def _take(self, timeout: float | None) -> _Connection:
        try:
            return self._idle.pop()
        except IndexError:
            return _Connection(self._path, timeout)

    def _give_back(self, connection: _Connection) -> None:
        if len(self._idle) < self._most_idle:
            self._idle.append(connection)
        else:
            connection.close()


class DirectStream:
    """Answers as they come; as much of gRPC's as is used. `cancel` comes from any thread."""

    def __init__(self, connection: _Connection, deserializer: Callable[[bytes], Any]) -> None:
        self._connection = connection
        self._deserializer = deserializer

    def initial_metadata(self) -> tuple[()]:
        """Comes when the stream is up."""
        _checked(self._connection.receive())
        return ()

    def __iter__(self) -> Iterator[Any]:
        try:
            while (answer := _checked(self._connection.receive())).kind is not AnswerKind.END:
                if answer.kind is AnswerKind.MESSAGE:
                    yield self._deserializer(answer.message)
        finally:
            self._connection.close()

    def cancel(self) -> None:
        """Leave; who reads gets an error."""
        self._connection.shut_down()


class _Connection:
    """One request after the other."""

    def __init__(self, path: str, timeout: float | None) -> None:
        self._socket = _connected(path, timeout)
        self._inbox = Inbox(self._socket)

    # No `weakref.finalize`, which would close the socket before the last functions of `atexit` run.
    def __del__(self) -> None:
        if hasattr(self, "_socket"):  # without a socket the constructor could not connect
            self._socket.close()

    def set_timeout(self, seconds: float | None) -> None:
        """How long it may be silent."""
        self._socket.settimeout(seconds)

    def send(self, request: DirectRequest) -> None:
        try:
            self._socket.sendall(framed(request))
        except TimeoutError as error:
            raise DirectError(Code.DEADLINE_EXCEEDED, "") from error
        except OSError as error:
            raise DirectError(Code.UNAVAILABLE, str(error)) from error

    def receive(self) -> DirectAnswer:
        try:
            answer = self._inbox.wait(answer_decoder)
        except TimeoutError as error:
            raise DirectError(Code.DEADLINE_EXCEEDED, "") from error
        except OSError as error:
            raise DirectError(Code.UNAVAILABLE, str(error)) from error
        if answer is None:
            raise DirectError(Code.UNAVAILABLE, "the connection was closed")
        return answer

    def shut_down(self) -> None:
        try:
            # `close` alone does not wake a thread that waits for data of this socket.
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:  # the socket is closed
            return

    def close(self) -> None:
        self._socket.close()


def _connected(path: str, timeout: float | None) -> socket.socket:
    try:
        with ExitStack() as opened:
            connected = opened.enter_context(socket.socket(socket.AF_UNIX))
            # Connecting waits while the queue of the listener is full.
            connected.settimeout(timeout)
            connected.connect(path)
            opened.pop_all()
            return connected
    except OSError as error:  # no free file descriptor, too
        raise DirectError(Code.UNAVAILABLE, f"cannot connect: {error}") from error


def _checked(answer: DirectAnswer) -> DirectAnswer:
    if answer.code:
        raise DirectError(Code(answer.code), answer.details)
    return answer
