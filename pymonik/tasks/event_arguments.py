"""The event of a handler: what it may be, and the handles in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pymonik.code.references import Enclosed, Referable, ReferableGroup
from pymonik.errors import SerializationError
from pymonik.tasks.arguments import Parameters
from pymonik.wire import lambda_events
from pymonik.wire.lambda_events import Place

if TYPE_CHECKING:
    from collections.abc import Sequence

CLIENT_CONTEXT: Final = "client_context"


class EventParameters(Parameters):
    """The parameters of a handler: one event, whatever it is."""

    def __init__(self) -> None:
        def handler(event: object, /, *, client_context: object = None) -> None: ...

        super().__init__(handler)

    def of_item(
        self, item: object, common: dict[str, object]
    ) -> tuple[tuple[object, ...], dict[str, object]]:
        """Each item is an event: dicts too, and lists."""
        return (item,), common

    def takes(self, name: str) -> bool:
        """No keyword is an argument but the context of the client."""
        return name == CLIENT_CONTEXT


class EventReferences:
    """Handles in an event, taken out of it.

    Attributes:
        places: Where their values belong.
        refs: The handles, each once.
    """

    def __init__(self) -> None:
        self.places: list[Place] = []
        self.refs: list[Referable] = []
        self._slots: dict[int, int] = {}

    def without(self, value: Any, path: tuple[str | int, ...]) -> Any:
        """The value, with ``None`` in the place of each handle."""
        if isinstance(value, Referable):
            self.places.append(Place(path, self._slot(value)))
            return None
        if isinstance(value, Enclosed):
            raise SerializationError("an event is JSON, which has no files: give a text, or a path")
        if isinstance(value, ReferableGroup):
            value = list(value._members())
        if isinstance(value, list | tuple):
            return self._without_all(value, path)
        if isinstance(value, dict):
            return {
                key: self.without(child, (*path, lambda_events.key_of(key)))
                for key, child in value.items()
            }
        return value

    def _without_all(self, values: Sequence[Any], path: tuple[str | int, ...]) -> Sequence[Any]:
        if all(map(_is_plain, values)):
            return values
        return [self.without(child, (*path, index)) for index, child in enumerate(values)]

    def _slot(self, handle: Referable) -> int:
        key = id(handle._state)
        if key not in self._slots:
            self._slots[key] = len(self.refs)
            self.refs.append(handle)
        return self._slots[key]


def _is_plain(value: object) -> bool:
    return type(value) in (int, float, str, bool, type(None))
