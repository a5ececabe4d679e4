"""A network between a client and a server: bytes arrive later, not at all, or connections break."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

_PIECE = 256 * 1024  # bytes that are read at once
_ON_THE_WAY = 8 * 1024 * 1024  # bytes of one direction, before its sender has to wait
_START_S = 10.0


@dataclass(eq=False)
class _Connection:
    """A client's socket, and the server's that belongs to it."""

    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    is_lost: bool = False  # both ends believe in it, and nothing arrives any more


class Network:
    """Listens on a port of this machine and passes bytes on to ``target``. Has a thread.

    Args:
        target: ``host:port`` or ``unix:/path``.
        delay_s: Of every byte, each way. Bytes are kept meanwhile: any number is under way.
        cut_every_s: Every connection breaks at that age.
        port: To listen on; 0 is any.
    """

    def __init__(
        self, target: str, *, delay_s: float = 0.0, cut_every_s: float = 0.0, port: int = 0
    ) -> None:
        self._target = target.removeprefix("http://")
        self.delay_s = delay_s
        self.cut_every_s = cut_every_s
        self._port = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._open_way: asyncio.Event | None = None

    @property
    def endpoint(self) -> str:
        """What a client connects to."""
        return f"http://localhost:{self._port}"

    def __enter__(self) -> Network:
        self._thread.start()
        self._run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_START_S)
        self._loop.close()

    # -- what goes wrong -----------------------------------------------------------------------

    def cut(self) -> None:
        """Break all connections, as a proxy does that restarts."""
        self._run(self._cut())

    def hold(self) -> None:
        """Bytes stop where they are, until `go_on`: nobody is told."""
        self._run(self._hold(is_held=True))

    def go_on(self) -> None:
        """What was held arrives."""
        self._run(self._hold(is_held=False))

    def lead_to(self, target: str) -> None:
        """New connections go elsewhere, as behind a balancer of replicas."""
        self._target = target.removeprefix("http://")

    def lose(self) -> None:
        """Connections are half open from now on: what is sent is lost. New ones work."""
        for connection in list(self._connections):
            connection.is_lost = True

    def refuse(self) -> None:
        """Break all connections and take none until `accept`."""
        self._run(self._refuse())

    def accept(self) -> None:
        """Take connections again, at the same port."""
        self._run(self._listen())

    # -- thread --------------------------------------------------------------------------------

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(_START_S)

    async def _start(self) -> None:
        self._open_way = asyncio.Event()
        self._open_way.set()
        await self._listen()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._connected, "localhost", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
        await self._cut()

    async def _stop(self) -> None:
        await self._refuse()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _cut(self) -> None:
        for connection in list(self._connections):
            _abort(connection)

    async def _hold(self, *, is_held: bool) -> None:
        assert self._open_way is not None
        if is_held:
            self._open_way.clear()
        else:
            self._open_way.set()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection([writer])
        self._connections.add(connection)
        try:
            there, back = await self._dial()
        except OSError:
            _abort(connection)
            self._connections.discard(connection)
            return
        connection.writers.append(back)
        if self.cut_every_s:
            self._loop.call_later(self.cut_every_s, _abort, connection)
        ways = [
            self._task(self._pass_on(connection, reader, back)),
            self._task(self._pass_on(connection, there, writer)),
        ]
        await asyncio.gather(*ways, return_exceptions=True)
        _abort(connection)
        self._connections.discard(connection)

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._target.startswith("unix:"):
            return await asyncio.open_unix_connection(self._target.removeprefix("unix:"))
        host, _, port = self._target.rpartition(":")
        return await asyncio.open_connection(host, int(port))

    def _task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _pass_on(
        self, connection: _Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Read one end; write to the other in order, each piece when its time has come."""
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_ON_THE_WAY // _PIECE)
        sender = self._task(self._deliver(connection, pieces, writer))
        try:
            while data := await reader.read(_PIECE):
                await pieces.put((self._loop.time() + self.delay_s, data))
            await pieces.put((self._loop.time() + self.delay_s, b""))
            await sender
        finally:
            sender.cancel()

    async def _deliver(
        self,
        connection: _Connection,
        pieces: asyncio.Queue[tuple[float, bytes]],
        writer: asyncio.StreamWriter,
    ) -> None:
        assert self._open_way is not None
        while True:
            at, data = await pieces.get()
            await asyncio.sleep(max(0.0, at - self._loop.time()))
            await self._open_way.wait()
            if connection.is_lost:
                continue
            if not data:
                with contextlib.suppress(OSError):
                    writer.write_eof()
                return
            writer.write(data)
            await writer.drain()


def _abort(connection: _Connection) -> None:
    for writer in connection.writers:
        writer.transport.abort()
