"""The page as one document: HTML, style and script, all of them ours, and data if it is frozen.

Nothing is loaded from anywhere, and a policy in the document forbids it: a text that somebody
smuggled in as markup could neither run nor reach out. Data stand in a block of JSON in which no
``<`` is left, so no text of a user ends the block.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from functools import cache
from html import escape
from importlib import resources
from typing import Any, Final

_NAME: Final = re.compile(r"\{\{(\w+)\}\}")
_ESCAPED: Final = {
    "<": "\\u003c",
    ">": "\\u003e",
    "&": "\\u0026",
    "\u2028": "\\u2028",  # ends of lines to JavaScript, not to JSON
    "\u2029": "\\u2029",
}


def document(title: str, *, data: dict[str, Any] | None = None, refresh_s: int = 0) -> str:
    """The whole page.

    Args:
        title: Of the window.
        data: What a frozen page shows; ``None`` for one that asks.
        refresh_s: Have the browser read the file again so often; 0 never.
    """
    script, style = _file("page.js"), _file("page.css")
    parts = {
        "title": escape(title),
        "policy": _policy(script, is_live=data is None),
        "refresh": f'<meta http-equiv="refresh" content="{refresh_s}">' if refresh_s else "",
        "style": style,
        "script": script,
        "data": "null" if data is None else as_text(data),
    }
    # In one go: a text in what is put in may look like a name.
    return _NAME.sub(lambda name: parts[name.group(1)], _file("page.html"))


def as_text(data: object) -> str:
    """JSON that may stand in a script block."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for character, written in _ESCAPED.items():
        text = text.replace(character, written)
    # Lone surrogates, which a task may well return, are no text that a file can hold.
    return text.encode("utf-8", "replace").decode()


def _policy(script: str, *, is_live: bool) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    connect = "'self'" if is_live else "'none'"
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        f"connect-src {connect}; img-src data:; base-uri 'none'; form-action 'none'"
    )


@cache
def _file(name: str) -> str:
    return resources.files("pymonik.page").joinpath(name).read_text(encoding="utf-8")
