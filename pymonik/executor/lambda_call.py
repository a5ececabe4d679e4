"""Runs the calls of handlers in the shape of AWS Lambda: JSON in, JSON out, nothing is unpickled.

The zip lies first on the path of this executor, which is that of no other zip: a module is imported
once, and what it keeps is there for the next event.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pymonik.wire import lambda_events
from pymonik.wire.call import JSON, ItemMeta
from pymonik.wire.lambda_events import Extras

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pymonik.wire.containers import Buffer

_NO_EXTRAS = Extras()
# By name alone: an executor with an archive serves no other archive.
_handlers: dict[str, Callable[..., Any]] = {}


def handler_of(name: str) -> Callable[..., Any]:
    """The handler of a name such as ``"package.module.function"``.

    Raises:
        ImportError: Its module cannot be imported; the cause is what it raised.
        AttributeError: The module has no such function.
    """
    known = _handlers.get(name)
    if known is None:
        known = _handlers[name] = _found(name)
    return known


def _found(name: str) -> Callable[..., Any]:
    module_name, _, function = name.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        text = f"the module {module_name!r} of the handler {name!r} cannot be imported: {error!r}"
        raise ImportError(text) from error
    found = getattr(module, function, None)
    if not callable(found):
        raise AttributeError(f"the module {module_name!r} has no handler {function!r}")
    handler: Callable[..., Any] = found
    return handler


def arguments(
    blobs: Sequence[Buffer], value: Callable[[int], object] | None
) -> tuple[Any, dict[str, Any] | None]:
    """The event of a call, and the context of its client.

    Args:
        blobs: See `pymonik.wire.lambda_events`.
        value: Gives the values of references.

    Raises:
        SerializationError: They are not what they should be.
    """
    event = lambda_events.decoded(blobs[0], "the event")
    extras = lambda_events.extras_decoder.decode(blobs[1]) if len(blobs) > 1 else _NO_EXTRAS
    for place in extras.places:
        given = value(place.ref) if value is not None else None
        event = lambda_events.put(event, place.path, given)
    return event, extras.client_context


def answer(value: object) -> tuple[ItemMeta, Sequence[Buffer]]:
    """What a handler gave, as the item of a result.

    Raises:
        SerializationError: JSON has no such value.
    """
    return ItemMeta(1, form=JSON), (lambda_events.encoded(value, "the answer of the handler"),)
