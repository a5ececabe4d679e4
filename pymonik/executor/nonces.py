"""The nonce of a session, which its payloads have: read by the parent of executors only."""

from __future__ import annotations

import logging

from pymonik.executor import files
from pymonik.wire import containers

logger = logging.getLogger(__name__)


def nonce_of(payload: str | bytes | None) -> str:
    """The nonce in a payload, given as bytes or as a file; ``""`` if it is none of ours."""
    try:
        needs = containers.needs_of(files.load(payload)) if payload else None
    except OSError as error:
        logger.warning("a payload cannot be read: %s", error)
        return ""
    return needs.nonce if needs is not None else ""
