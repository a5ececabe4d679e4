"""How results end, as a stream: of events, or of what the embedded cluster tells of many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymonik.wire.embedded import Ended

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


class News:
    """A stream of `Ended`, several at a time. `cancel` comes from any thread.

    Args:
        stream: Of gRPC, or a `DirectStream`.
        read: What one of its messages says.
    """

    def __init__(self, stream: Any, read: Callable[[Any], Sequence[Ended]]) -> None:
        self._stream = stream
        self._read = read

    def wait_until_up(self) -> None:
        """Return when the stream is up: whatever happens from now on is told, or reading fails."""
        self._stream.initial_metadata()

    def __iter__(self) -> Iterator[Sequence[Ended]]:
        return map(self._read, self._stream)

    def cancel(self) -> None:
        """End the stream."""
        self._stream.cancel()


def of_event(event: Any) -> Sequence[Ended]:
    """What an event of ArmoniK says, if it is the status of a result."""
    if event.WhichOneof("update") != "result_status_update":
        return ()
    update = event.result_status_update
    return (Ended(update.result_id, update.status),)
