"""The calls of a chunk one after the other: a map of tiny calls spends its time in this loop."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from pymonik.wire.call import ONE_BLOB

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymonik.executor.measures import Measures
    from pymonik.executor.run import Ended
    from pymonik.executor.share import Share
    from pymonik.wire.call import ItemMeta, ResultRef
    from pymonik.wire.containers import Buffer


def in_turn(
    call: Callable[[int], Ended], size: int, share: Share, measures: Measures
) -> tuple[list[ItemMeta], list[Buffer], list[ResultRef]]:
    """Run the calls until the parent has taken the rest of them: their values, and where those are.

    Args:
        call: Runs the call of a number.
        size: How many there are.
        share: Of the chunk.
        measures: Told of each call.
    """
    # Each name that is looked up here is looked up for each call.
    claims = share.claims
    claim, note, note_value = claims.claim, claims.note, claims.note_value
    item_ended, ended = share.item_ended, measures.ended
    items: list[ItemMeta] = []
    blobs: list[Buffer] = []
    while (place := len(items)) < size:
        if not claim():
            if elsewhere := share.handed_over():
                return items, blobs, elsewhere
            continue  # nobody takes them: they are offered again
        begun = monotonic()
        item, more, is_all = call(place)
        end = monotonic()
        # What the call has printed and changed is seen to first: from the note on, it has ended.
        item_ended(place, end - begun)
        if item is ONE_BLOB:
            note_value(more[0])  # type: ignore[arg-type] # such a value has been pickled: bytes
        else:
            note(item, more, is_all=is_all)
        items.append(item)
        blobs += more
        ended(begun, end)
    return items, blobs, []
