"""The gate of the live page: it lets in who has the address, from a page of the same address.

The page shows arguments and output and can cancel. Any program of the machine can reach a port of
loopback, and any site that is open in the same browser. So there is a token in the address; a
request must name a host of ours (a foreign name that was bound to 127.0.0.1 has another); and what
is done must come from the page itself (other sites cannot set its header without asking first).
"""

from __future__ import annotations

import hmac
import secrets
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

HEADER: Final = "X-Pymonik"  # the page sets it; of another origin a browser would ask us first
_OURS: Final = ("127.0.0.1", "localhost", "[::1]")


class Gate:
    """Refuses requests.

    Args:
        port: Where we listen.
        hosts: Names under which a proxy makes the page reachable, such as ``hub.example.org``.
    """

    def __init__(self, port: int, hosts: Iterable[str] = ()) -> None:
        self.token = secrets.token_urlsafe(24)
        # A browser sends the host with the port, unless that is the port of the scheme.
        self._hosts = {f"{name}:{port}" for name in _OURS}
        self._proxied = {name.lower() for name in hosts}

    def below_token(self, path: str) -> str | None:
        """What a path names behind the token, ``""`` for the page; ``None`` without the token.

        A proxy may put a prefix in front of it or take one away.
        """
        head, found, rest = path.partition(f"/{self.token}/")
        # Compared in the same time wherever they differ, so that nobody guesses it bit by bit.
        given = next((part for part in path.split("/") if len(part) == len(self.token)), "")
        is_right = hmac.compare_digest(given.encode(), self.token.encode())
        return rest if found and is_right and head.count("/") <= 8 else None

    def refusal(self, headers: Mapping[str, str], *, acts: bool) -> str:
        """Why a request is refused; ``""`` if it is not.

        Args:
            headers: Of the request.
            acts: Whether it changes something.
        """
        host = headers.get("Host", "").lower()
        if not self._is_ours(host):
            return (
                f"the page is not served as {host!r}; behind a proxy, name the host: "
                f"dashboard(hosts=[{host.partition(':')[0]!r}])"
            )
        origin = headers.get("Origin", "")
        if origin and not self._is_ours(urlsplit(origin).netloc.lower()):
            return f"another origin: {origin!r}"
        if headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin") and (
            acts or headers.get("Sec-Fetch-Mode") != "navigate"
        ):
            return "another site asks"
        if acts and headers.get(HEADER) != "1":
            return f"{HEADER} is missing: only the page itself may do this"
        return ""

    def _is_ours(self, netloc: str) -> bool:
        return (
            netloc in self._hosts
            or netloc in self._proxied
            or (netloc.partition(":")[0] in self._proxied)
        )
