"""What the direct socket serves besides ArmoniK's services; see `pymonik.wire.embedded`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast

import msgspec

from pymonik.cluster.event_hub import Interest
from pymonik.cluster.services.answering import streaming
from pymonik.cluster.services.fields import RESULTS as RESULT_FIELDS
from pymonik.cluster.services.fields import TASKS as TASK_FIELDS
from pymonik.cluster.services.filters import Query
from pymonik.cluster.services.handlers import Handlers, handler
from pymonik.cluster.state.rows import Kind
from pymonik.wire.embedded import RESULTS, SMALL_DATA, Ended
from pymonik.wire.live import LIVE_PREFIXES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pymonik.cluster.control_plane import ControlPlane
    from pymonik.cluster.services.direct import DirectContext
    from pymonik.cluster.state.rows import Change, Result

# Seconds that news wait for others while the cluster is busy: one message for many.
GATHER_S = 0.002
MOST_TOLD = 1024  # bytes of a result up to which they come with the news of it


class EmbeddedService(Handlers):
    """Results of a program that has this cluster for itself: many at once."""

    def __init__(self, control_plane: ControlPlane) -> None:
        self._control_plane = control_plane
        encode = msgspec.msgpack.encode
        super().__init__(
            {
                SMALL_DATA: handler(
                    self._small_data, msgspec.msgpack.Decoder(list[str]).decode, encode
                ),
                RESULTS: handler(
                    self._results, msgspec.msgpack.Decoder(str).decode, encode, gives_stream=True
                ),
            }
        )

    def _small_data(self, ids: Sequence[str], _context: Any) -> list[bytes | None]:
        return self._control_plane.small_data(ids)

    @streaming
    def _results(self, session_id: str, context: DirectContext) -> Iterator[list[Ended]]:
        interest = Interest(
            session_id,
            tasks=Query(TASK_FIELDS, None),
            results=Query(RESULT_FIELDS, None),
            kinds=frozenset({Kind.RESULT_STATUS}),
        )
        subscription = self._control_plane.subscribe(interest)
        if not context.add_callback(subscription.cancel):
            subscription.cancel()  # the client has left already
        context.send_initial_metadata(())
        for changes in subscription.batches(self._pause):
            yield self.told(changes)

    def is_busy(self) -> bool:
        """Whether many tasks wait: more is about to happen, and fewer messages can tell of it."""
        return self._control_plane.is_busy()

    def _pause(self) -> None:
        if self.is_busy():
            time.sleep(GATHER_S)

    def told(self, changes: Sequence[Change]) -> list[Ended]:
        """What a message says of them."""
        return [self._ended(change) for change in changes]

    def _ended(self, change: Change) -> Ended:
        result = cast("Result", change.row)
        # Without the lock of the state: the row may have changed since, but a result that is
        # completed again is told of again.
        data = self._control_plane.data_in_memory(result)
        if result.name.startswith(LIVE_PREFIXES):
            return Ended(result.result_id, int(cast("int", change.value)), data, result.name)
        is_told = data is not None and len(data) <= MOST_TOLD
        return Ended(result.result_id, int(cast("int", change.value)), data if is_told else None)
