"""Large values through gRPC, beside a bare gRPC stream of messages of the same size.

    python -m benchmarks.streams [--mb 200] [--rounds 5] [--message 2097152]

The bare stream has a server that throws away what comes, and sends the same message again and
again; its client joins what it gets to one value, and nothing is serialized. Ours goes to an
embedded cluster on a TCP port, which stores what comes, as a remote one does. The two take turns.
Prints MB/s, of the median round and of the best one, and how much of the bare stream that is: where
others use the machine too, the best rounds are those to compare.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import grpc
from armonik.client import ArmoniKResults

from benchmarks import functions
from pymonik import LocalCluster, Pymonik

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

MB = 1_000_000
_UP, _DOWN = "/bare/Up", "/bare/Down"
_OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class _Bare(grpc.GenericRpcHandler):
    """Bytes in, bytes out, and no protobuf."""

    def service(self, details: Any) -> Any:
        if details.method == _UP:
            return grpc.stream_unary_rpc_method_handler(self._up)
        return grpc.unary_stream_rpc_method_handler(self._down)

    def _up(self, requests: Iterator[bytes], context: Any) -> bytes:
        return b"%d" % sum(map(len, requests))

    def _down(self, request: bytes, context: Any) -> Iterator[bytes]:
        size, message = map(int, request.split())
        yield from _messages(size, message)


def _messages(size: int, message: int) -> Iterator[bytes]:
    content = bytes(message)
    for start in range(0, size, message):
        yield content if size - start >= message else content[: size - start]


class BareStream:
    """The client of the bare server."""

    def __init__(self, channel: Any, size: int, message: int) -> None:
        self._up = channel.stream_unary(_UP)
        self._down = channel.unary_stream(_DOWN)
        self._size, self._message = size, message

    def up(self) -> None:
        if int(self._up(_messages(self._size, self._message))) != self._size:
            raise AssertionError("bytes were lost")

    def down(self) -> None:
        request = b"%d %d" % (self._size, self._message)
        if len(b"".join(self._down(request))) != self._size:
            raise AssertionError("bytes were lost")


class Ours:
    """A value that is put, and got, by a client that shares no files with its cluster."""

    def __init__(self, client: Pymonik, results: ArmoniKResults, size: int) -> None:
        self._client = client
        self._results = results
        self._value = functions.zeros(size)
        self._handle: Any = None

    def up(self) -> None:
        self._handle = self._client.put(self._value)

    def down(self) -> None:
        if len(self._handle.get()) != len(self._value):
            raise AssertionError("bytes were lost")

    def forget(self) -> None:
        """Have the next round find the memory that this one had."""
        self._results.delete_result_data([self._handle.result_id], self._client.session_id)


@contextmanager
def _bare_server() -> Iterator[str]:
    """The bare server, in a process of its own like that of a cluster."""
    command = [sys.executable, "-m", "benchmarks.streams", "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield f"127.0.0.1:{int(process.stdout.readline())}"  # type: ignore[union-attr]
        finally:
            process.terminate()


def _serve() -> None:
    server = grpc.server(ThreadPoolExecutor(4), handlers=[_Bare()], options=_OPTIONS)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    threading.Event().wait()


def measure(size: int, rounds: int, message: int) -> dict[str, list[float]]:
    """MB/s of each round, by name."""
    found: dict[str, list[float]] = defaultdict(list)
    with ExitStack() as opened:
        target = opened.enter_context(_bare_server())
        channel = opened.enter_context(grpc.insecure_channel(target, _OPTIONS))
        cluster = opened.enter_context(LocalCluster(workers=1, port=0))
        client = opened.enter_context(Pymonik(cluster.endpoint, direct=False))
        address = cluster.endpoint.removeprefix("http://")
        results = ArmoniKResults(opened.enter_context(grpc.insecure_channel(address)))
        bare, ours = BareStream(channel, size, message), Ours(client, results, size)
        steps: dict[str, Callable[[], None]] = {
            "bare, up": bare.up,
            "pymonik, up": ours.up,
            "bare, down": bare.down,
            "pymonik, down": ours.down,
        }
        for number in range(rounds + 1):  # the first one opens connections
            for name, step in steps.items():
                begin = time.perf_counter()
                step()
                if number:
                    found[name].append(size / MB / (time.perf_counter() - begin))
            ours.forget()
    return dict(found)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.streams", description=__doc__)
    parser.add_argument("--mb", type=int, default=200, help="size of the value")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--message", type=int, default=2 << 20, help="bytes of a bare message")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.serve:
        _serve()
        return 0
    found = measure(options.mb * MB, options.rounds, options.message)
    for way in ("up", "down"):
        for of, choose in (("median", statistics.median), ("best", max)):
            bare, ours = choose(found[f"bare, {way}"]), choose(found[f"pymonik, {way}"])
            share = f"{ours / bare:.0%}"
            print(f"{way:<5} {of:<7} bare {bare:5.0f} MB/s, pymonik {ours:5.0f} MB/s: {share}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
