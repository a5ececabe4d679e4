"""Large arguments of single calls: stored once for a session, however many calls have them.

The values of a call are packed and sent in the background, each with its call. From 10 MB on that
is dear, so such a value is stored when the first call has it, before `invoke` returns, and the
calls refer to it. It is known again by its content: an array that was changed between two calls is
another value, and an equal copy is the same one.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from pymonik.code import sharing
from pymonik.code.packed_function import HEAVY_BYTES
from pymonik.handles.stored_argument import StoredArgument

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pymonik.code.codec import Packed
    from pymonik.code.pickler import Place
    from pymonik.session.remote import RemoteSession
    from pymonik.session.result import ResultState

# Stored values that a session remembers; the data of others go once their calls have ended, and
# they are stored again if they come back.
_MOST_KEPT: Final = 8


def places(session: RemoteSession, values: Iterable[object], name: str) -> dict[int, Place]:
    """Where the heavy ones of these arguments are stored, by their addresses; stores them first.

    Args:
        session: Of the call.
        values: Its arguments.
        name: Of the function.

    Raises:
        ControlPlaneError: One cannot be stored.
    """
    distinct = list({id(value): value for value in values}.values())
    parts = sharing.parts_of(distinct, with_inner=False)
    return {
        address: place
        for part in parts
        if part.packed.nbytes > HEAVY_BYTES
        for address, place in part.places(StoredArgument(_state(session, part.packed, name)))
    }


def _state(session: RemoteSession, packed: Packed, name: str) -> ResultState:
    # Single steps of a dict: threads may store a value twice, but never see half of a table.
    known, digest = session.heavy, _digest(packed)
    state = known.pop(digest, None)
    if state is None:
        (state,) = session.put([packed], [f"{name} argument"])
    known[digest] = state  # last: it was used last
    for oldest in list(known)[:-_MOST_KEPT]:
        known.pop(oldest, None)
    return state


def _digest(packed: Packed) -> bytes:
    """A digest of stream and buffers, each behind its length: no two values have the same bytes."""
    digest = hashlib.blake2b(digest_size=32)
    for blob in packed.blobs:
        view = memoryview(blob).cast("B")
        digest.update(view.nbytes.to_bytes(8, "little"))
        digest.update(view)
    return digest.digest()
