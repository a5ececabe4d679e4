"""The live page: a server on loopback, for the person who started it."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

from pymonik.errors import PymonikError, UsageError
from pymonik.page.gate import Gate
from pymonik.page.template import as_text, document
from pymonik.quantities import whole_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pymonik.page.board import Board

_log = logging.getLogger(__name__)

# Seconds after which a connection on which nothing comes is closed, so that its thread ends.
_IDLE_S: Final = 30.0
_MOST_SENT: Final = 10_000  # bytes that a request may have
_PREFIX: Final = "JUPYTERHUB_SERVICE_PREFIX"  # of a notebook behind a hub, such as /user/ada/


class Dashboard:
    """The page as long as it is served; a thread for each open connection, none while nobody looks.

    Args:
        board: Answers it.
        title: Of the window.
        port: Of loopback; 0 takes a free one.
        hosts: Names under which a proxy makes it reachable.
        on_close: Called once when it is closed.

    Raises:
        UsageError: The port is taken, or none.
    """

    def __init__(
        self,
        board: Board,
        *,
        title: str,
        port: int = 0,
        hosts: Iterable[str] = (),
        on_close: Callable[[], object] = lambda: None,
    ) -> None:
        self._on_close = on_close
        port = whole_number("port", port, 0, 65_535)
        try:
            self._server = _Server(("127.0.0.1", port), _Handler)
        except OSError as error:
            raise UsageError(f"port {port} cannot be used: {error.strerror}") from error
        self.port: int = self._server.server_port
        self._gate = Gate(self.port, hosts)
        self._server.page = _Page(board, self._gate, title)
        self._closing = threading.RLock()
        self._is_closed = False
        self._thread = threading.Thread(
            # The server looks ten times a second whether it is to stop: as long `close` takes.
            target=partial(self._server.serve_forever, 0.1),
            name="pymonik-dashboard",
            daemon=True,
        )
        self._thread.start()

    @property
    def address(self) -> str:
        """To be opened in a browser of this machine; whoever has it may cancel what runs."""
        return f"http://127.0.0.1:{self.port}/{self._gate.token}/"

    @property
    def proxied_address(self) -> str:
        """The path of it behind JupyterHub's proxy; ``""`` where there is none."""
        prefix = os.environ.get(_PREFIX, "")
        return f"{prefix.rstrip('/')}/proxy/{self.port}/{self._gate.token}/" if prefix else ""

    def close(self) -> None:
        """Stop serving it."""
        with self._closing:
            if self._is_closed:
                return
            self._is_closed = True
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._on_close()

    def __enter__(self) -> Dashboard:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __str__(self) -> str:
        return self.address

    def __repr__(self) -> str:
        return f"<Dashboard at {self.address}>"

    def _repr_html_(self) -> str:
        address = self.proxied_address or self.address
        return f'<a href="{address}" target="_blank" rel="noopener">Open the page of pymonik</a>'


class _Page:
    """What a request is answered with."""

    def __init__(self, board: Board, gate: Gate, title: str) -> None:
        self.board = board
        self.gate = gate
        self.html = document(title).encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a browser keeps its connections open
    page: _Page

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """A browser that goes away is no news for the terminal of the program."""
        _log.debug("a connection of the page was broken", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # The header tells neither the version of Python nor that of its library.
    server_version = "pymonik"
    sys_version = ""
    timeout = _IDLE_S
    server: _Server

    def do_GET(self) -> None:
        """The page, or the answer to a question."""
        split = urlsplit(self.path)
        what = self._let_in(split.path, acts=False)
        if what is None:
            return
        if what == "":
            self._send(200, self.server.page.html, "text/html; charset=utf-8")
            return
        given = dict(parse_qsl(split.query, keep_blank_values=True))
        self._answer(lambda: self.server.page.board.ask(what, given))

    def do_POST(self) -> None:
        """Something is to be done."""
        what = self._let_in(urlsplit(self.path).path, acts=True)
        if what is None:
            return
        given = self._body()
        if given is None:
            self._refuse(400, "what is to be done must be a small object of JSON")
            return
        self._answer(lambda: {"done": self.server.page.board.do(what, given)})

    def _let_in(self, path: str, *, acts: bool) -> str | None:
        """What is asked for; ``None`` if the request was refused."""
        gate = self.server.page.gate
        if refusal := gate.refusal(dict(self.headers.items()), acts=acts):
            self._refuse(403, refusal)
            return None
        what = gate.below_token(path)
        if what is None:
            self._refuse(404, "open the whole address, with its token")
        return what

    def _body(self) -> Mapping[str, str] | None:
        # Without a length the end of a request is not known, and reading it would wait for the
        # browser.
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > _MOST_SENT:
            return None
        try:
            given = json.loads(self.rfile.read(int(length)))
        except ValueError:
            return None
        return {str(k): str(v) for k, v in given.items()} if isinstance(given, dict) else None

    def _answer(self, make: Callable[[], dict[str, Any]]) -> None:
        try:
            text = as_text(make())
        except UsageError as error:
            self._refuse(404, str(error))
        except PymonikError as error:
            self._refuse(502, str(error))
        except Exception:  # noqa: BLE001 - a page goes on, whatever becomes of one answer
            _log.exception("the page got no answer")
            self._refuse(500, "this cannot be answered; the log of the program says why")
        else:
            self._send(200, text.encode(), "application/json")

    def _refuse(self, code: int, why: str) -> None:
        self.close_connection = True  # what it sent besides is not read
        self._send(code, as_text({"error": why}).encode(), "application/json")

    def _send(self, code: int, body: bytes, kind: str) -> None:
        with contextlib.suppress(OSError):  # the browser has left
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Referrer-Policy", "no-referrer")  # which would tell the token
            self.send_header("Cross-Origin-Resource-Policy", "same-origin")
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Requests have the token in their paths, so they are not logged."""
