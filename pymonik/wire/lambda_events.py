"""What a call of a Lambda handler is made of: JSON, so any language can submit it.

::

    first blob     the event, as JSON; null where the value of another result is to stand
    second blob    {"places": [{"path": ["portfolio", 0], "ref": 0}], "client_context": {...}},
                   left out where there is nothing to say

JSON is what Python's `json` reads and writes: with NaN and Infinity, and numbers of any length.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec

from pymonik.errors import SerializationError

_MOST_DEPTH = 50  # levels of an event that are searched for what JSON does not have


class Place(msgspec.Struct, frozen=True):
    """Where in an event the value of a reference belongs.

    Attributes:
        path: Keys and indexes from the outside in; empty for the whole event.
        ref: The number of the reference of the call.
    """

    path: tuple[str | int, ...]
    ref: int


class Extras(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a call has beside its event.

    Attributes:
        places: Of references in the event.
        client_context: What the handler finds as ``context.client_context``.
    """

    places: tuple[Place, ...] = ()
    client_context: dict[str, Any] | None = None


extras_encoder = msgspec.json.Encoder()
extras_decoder = msgspec.json.Decoder(Extras)


def encoded(value: object, what: str) -> bytes:
    """A value as JSON.

    Args:
        value: Of the user.
        what: How an error calls it.

    Raises:
        SerializationError: JSON has no such value; the message has the way to it.
    """
    try:
        text = _encoder.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise SerializationError(f"{what} is no JSON: {_culprit(value, what, error)}") from error
    return text.encode()


def decoded(data: bytes | bytearray | memoryview, what: str) -> Any:
    """The value of a text in JSON.

    Raises:
        SerializationError: It is none.
    """
    try:
        return _decoder.decode(str(data, "utf-8"))
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        raise SerializationError(f"{what} is no JSON: {error}") from error


def key_of(key: object) -> str:
    """How JSON has a key: that of a dict of Python may be a number too."""
    return key if isinstance(key, str) else json.dumps(key, default=str)


def put(event: Any, path: tuple[str | int, ...], value: object) -> Any:
    """The event with a value in its place.

    Raises:
        SerializationError: There is no such place.
    """
    if not path:
        return value
    around = event
    try:
        for step in path[:-1]:
            around = around[step]
        around[path[-1]] = value
    except (TypeError, KeyError, IndexError) as error:
        raise SerializationError(f"an event has no place {list(path)}") from error
    return event


def _other(value: object) -> float | int:
    """A number of `decimal`, as AWS takes it; numpy's too, which are no numbers of Python."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if type(value).__module__ == "numpy" and getattr(value, "shape", None) == ():
        number: float | int = value.item()  # type: ignore[attr-defined]
        return number
    raise TypeError(f"a {type(value).__qualname__} has no form in JSON")


# Made once: `json.dumps` makes an encoder for each value that is not quite the usual way.
_encoder = json.JSONEncoder(default=_other, separators=(",", ":"))
_decoder = json.JSONDecoder()


def _culprit(value: object, path: str, error: Exception, depth: int = 0) -> str:
    """The way to what JSON does not have."""
    children: list[tuple[str, object]] = []
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str | int | float | bool | type(None)):
                return f"{path} has a key of type {type(key).__qualname__}"
        children = [(f"{path}[{key!r}]", child) for key, child in value.items()]
    elif isinstance(value, list | tuple):
        children = [(f"{path}[{index}]", child) for index, child in enumerate(value)]
    for child_path, child in children if depth < _MOST_DEPTH else ():
        if (inner := _refusal(child)) is not None:
            return _culprit(child, child_path, inner, depth + 1)
    return f"{path}: {error}"


def _refusal(value: object) -> Exception | None:
    try:
        json.dumps(value, default=_other)
    except (TypeError, ValueError, RecursionError) as error:
        return error
    return None
