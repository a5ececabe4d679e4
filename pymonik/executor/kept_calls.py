"""Calls of a task of several that failed, kept as a payload of their own: others send it again.

The task itself has ended well, so its payload goes with it. Any program finds these by their name;
see `pymonik.kept.item_letters`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from pymonik.executor import files
from pymonik.executor.frames import Created
from pymonik.wire import containers
from pymonik.wire.call import LETTER_PREFIX, NEW, index_in, numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pymonik.executor.frames import Run
    from pymonik.wire.call import ItemMeta, PayloadMeta
    from pymonik.wire.containers import Buffer

_STAND_IN: Final = f"{NEW}letter"
_MOST_BYTES: Final = 1 << 20  # of the arguments: of a task they are there twice


def kept_calls(
    run: Run,
    meta: PayloadMeta,
    items: Sequence[ItemMeta],
    blobs_of: Callable[[int], Sequence[Buffer]],
) -> list[Created]:
    """The result that holds them: one, or none where nothing failed or arguments are large.

    Args:
        run: The task.
        meta: The head of its payload.
        items: How its calls ended.
        blobs_of: Gives the arguments of a call.
    """
    places = [place for place, item in enumerate(items) if item.failed]
    if not places or not run.output_id:
        return []
    kept: list[int] = []
    blobs: list[Buffer] = []
    left = _MOST_BYTES
    for place in places:
        more = blobs_of(place)
        left -= sum(memoryview(blob).nbytes for blob in more)
        if left < 0:
            break  # calls are kept from the first on, so that readers know which they are
        kept.append(place)
        blobs += more
    if not kept:
        return []
    first, indexes = numbers([index_in(meta, place) for place in kept])
    calls = tuple(meta.calls[place] for place in kept)
    traces = meta.traces_of(kept)
    own = msgspec.structs.replace(meta, calls=calls, first=first, indexes=indexes, traces=traces)
    data, path = files.store(run.folder, containers.join(own, blobs))
    name = f"{LETTER_PREFIX}{run.output_id}"
    return [Created(stand_in=_STAND_IN, name=name, data=data, path=path)]
