"""Requests over a plain socket: what gRPC would do, when things go wrong too."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from pymonik.cluster.services.direct import DirectServer
from pymonik.transport.direct import DirectChannel, DirectError
from pymonik.transport.grpc_errors import rpc_errors
from pymonik.wire.embedded import AnswerKind, DirectAnswer, DirectRequest, answer_decoder
from pymonik.wire.framing import Inbox, framed
from pymonik.wire.status import Code

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAIT_S = 20.0
LARGE = bytes(3_000_000)


class Service(grpc.GenericRpcHandler):
    """Methods of bytes."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        self.asked = threading.Event()
        self.left = threading.Event()

    def service(self, handler_call_details: Any) -> Any:
        unary, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
        known = {
            "/echo": unary(lambda message, _: message, bytes, bytes),
            "/metadata": unary(self._metadata, bytes, bytes),
            "/refuse": unary(self._refuse, bytes, bytes),
            "/break": unary(self._break, bytes, bytes),
            "/wait": unary(self._wait, bytes, bytes),
            "/count": stream(self._count, bytes, bytes),
            "/endless": stream(self._endless, bytes, bytes),
            "/refuse-later": stream(self._refuse_later, bytes, bytes),
        }
        return known.get(handler_call_details.method)

    def _metadata(self, _message: bytes, context: Any) -> bytes:
        return repr([tuple(pair) for pair in context.invocation_metadata()]).encode()

    def _refuse(self, _message: bytes, context: Any) -> bytes:
        context.abort(Code.NOT_FOUND, "there is none")
        raise AssertionError

    def _break(self, _message: bytes, _context: Any) -> bytes:
        raise ValueError("a mistake")

    def _wait(self, message: bytes, _context: Any) -> bytes:
        self.asked.set()
        assert self.may_answer.wait(WAIT_S)
        return message

    def _count(self, message: bytes, context: Any) -> Iterator[bytes]:
        context.send_initial_metadata(())
        for number in range(int(message)):
            yield str(number).encode()

    def _endless(self, _message: bytes, context: Any) -> Iterator[bytes]:
        context.add_callback(self.left.set)
        context.send_initial_metadata(())
        yield b"first"
        assert self.left.wait(WAIT_S)

    def _refuse_later(self, _message: bytes, context: Any) -> Iterator[bytes]:
        context.send_initial_metadata(())
        yield b"first"
        context.abort(Code.RESOURCE_EXHAUSTED, "too much")


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("d") / "socket"


@pytest.fixture
def server(service: Service, path: Path) -> Iterator[DirectServer]:
    server = DirectServer()
    server.add_generic_rpc_handlers((service,))
    server.start(path)
    yield server
    service.may_answer.set()
    server.stop()


@pytest.fixture
def channel(path: Path, server: DirectServer) -> Iterator[DirectChannel]:
    channel = DirectChannel(path, lambda: grpc.insecure_channel(f"unix:{path}.none"))
    yield channel
    channel.close()


def code_of(error: pytest.ExceptionInfo[DirectError]) -> Code:
    return error.value.code()


def test_an_answer_comes_back_small_or_large(channel: DirectChannel) -> None:
    echo = channel.unary_unary("/echo")
    assert echo(b"") == b""
    assert echo(b"small") == b"small"
    assert echo(LARGE) == LARGE


def test_metadata_arrive(channel: DirectChannel) -> None:
    metadata = channel.unary_unary("/metadata")(b"", metadata=[("a", "b")])
    assert metadata == b"[('a', 'b')]"


def test_a_status_comes_back_as_from_grpc(channel: DirectChannel) -> None:
    with pytest.raises(DirectError, match="there is none") as raised:
        channel.unary_unary("/refuse")(b"")
    assert isinstance(raised.value, rpc_errors())
    assert (code_of(raised), raised.value.details()) == (
        Code.NOT_FOUND,
        "there is none",
    )


def test_a_method_that_nobody_serves_is_unimplemented(channel: DirectChannel) -> None:
    with pytest.raises(DirectError) as raised:
        channel.unary_unary("/unknown")(b"")
    assert code_of(raised) is Code.UNIMPLEMENTED
    with pytest.raises(DirectError) as raised:
        channel.unary_stream("/unknown")(b"").initial_metadata()
    assert code_of(raised) is Code.UNIMPLEMENTED


def test_a_method_that_breaks_costs_its_request_only(
    channel: DirectChannel, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(DirectError) as raised:
        channel.unary_unary("/break")(b"")
    assert code_of(raised) is Code.UNKNOWN
    assert "a mistake" in caplog.text
    assert channel.unary_unary("/echo")(b"next") == b"next"


def test_requests_at_once_get_their_own_answers(channel: DirectChannel) -> None:
    echo = channel.unary_unary("/echo")
    with ThreadPoolExecutor(16) as threads:
        sent = [str(number).encode() * 1000 for number in range(500)]
        assert list(threads.map(echo, sent)) == sent


def test_an_answer_that_came_too_late_is_not_taken_for_the_next_one(
    channel: DirectChannel, service: Service
) -> None:
    with pytest.raises(DirectError) as raised:
        channel.unary_unary("/wait")(b"late", timeout=0.05)
    assert code_of(raised) is Code.DEADLINE_EXCEEDED
    service.may_answer.set()
    assert channel.unary_unary("/echo")(b"next") == b"next"


def test_a_server_that_stops_ends_the_request_that_waits(
    channel: DirectChannel, service: Service, server: DirectServer
) -> None:
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(channel.unary_unary("/wait"), b"")
        assert service.asked.wait(WAIT_S)
        stopper = threading.Thread(target=server.stop)
        stopper.start()
        with pytest.raises(DirectError) as raised:
            waiting.result(WAIT_S)
        service.may_answer.set()
        stopper.join(WAIT_S)
    assert code_of(raised) is Code.UNAVAILABLE
    assert not stopper.is_alive()


def test_without_a_server_it_is_unavailable(path: Path) -> None:
    channel = DirectChannel(path, lambda: grpc.insecure_channel(f"unix:{path}.none"))
    with pytest.raises(DirectError, match="connect") as raised:
        channel.unary_unary("/echo")(b"")
    assert code_of(raised) is Code.UNAVAILABLE
    channel.close()


def test_a_stream_is_up_then_gives_answers_in_order_then_ends(channel: DirectChannel) -> None:
    stream = channel.unary_stream("/count")(b"1000")
    assert stream.initial_metadata() == ()
    assert [int(answer) for answer in stream] == list(range(1000))


def test_a_stream_that_is_refused_later_says_so_after_what_came_before(
    channel: DirectChannel,
) -> None:
    stream = channel.unary_stream("/refuse-later")(b"")
    stream.initial_metadata()
    answers = iter(stream)
    assert next(answers) == b"first"
    with pytest.raises(DirectError, match="too much") as raised:
        next(answers)
    assert code_of(raised) is Code.RESOURCE_EXHAUSTED


def test_a_cancelled_stream_ends_here_and_there(channel: DirectChannel, service: Service) -> None:
    stream = channel.unary_stream("/endless")(b"")
    stream.initial_metadata()
    answers = iter(stream)
    assert next(answers) == b"first"
    timer = threading.Timer(0.05, stream.cancel)
    timer.start()
    with pytest.raises(DirectError):
        next(answers)
    assert service.left.wait(WAIT_S)
    timer.join()


def test_a_server_that_stops_ends_streams(
    channel: DirectChannel, service: Service, server: DirectServer
) -> None:
    stream = channel.unary_stream("/endless")(b"")
    stream.initial_metadata()
    answers = iter(stream)
    assert next(answers) == b"first"
    server.stop()
    with pytest.raises(DirectError) as raised:
        next(answers)
    assert code_of(raised) is Code.UNAVAILABLE
    assert service.left.is_set()


def test_a_client_that_is_gone_frees_the_thread_of_its_stream(
    path: Path, server: DirectServer, service: Service
) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(framed(DirectRequest("/endless", b"")))
        inbox = Inbox(client)
        assert inbox.wait(answer_decoder) == DirectAnswer(kind=AnswerKind.UP)
        assert inbox.wait(answer_decoder) == DirectAnswer(b"first")
    assert service.left.wait(WAIT_S)


def test_who_speaks_something_else_is_left(path: Path, server: DirectServer) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.settimeout(WAIT_S)
        client.sendall((3).to_bytes(8, "little") + b"\xc1\xc1\xc1")
        assert client.recv(1) == b""


def test_only_its_user_can_reach_the_socket(path: Path, server: DirectServer) -> None:
    assert path.stat().st_mode & 0o777 == 0o600


def test_connections_are_used_again_and_closed_with_the_channel(
    channel: DirectChannel, server: DirectServer
) -> None:
    for _ in range(10):
        channel.unary_unary("/echo")(b"")
    assert len(server._connections) == 1
    thread = next(iter(server._connections.values()))
    channel.close()
    thread.join(WAIT_S)
    assert not server._connections
