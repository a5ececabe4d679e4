"""Files of a session: each content is uploaded once, before the first call that needs it is sent.

The caller of `invoke` waits for it, as for `put`: afterwards the file may be changed or deleted.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pymonik.code.references import Sealed
    from pymonik.session.protocol import Submission


def sealed_in(submission: Submission) -> list[Sealed]:
    """Files of the function and of the calls that are nowhere in the cluster yet."""
    files = [*submission.function.files]
    for call in submission.calls:
        if call.files:
            files += call.files
    return [file for file in files if not file.is_uploaded] if files else files


class Files:
    """Where the contents are that a session has uploaded. Thread-safe.

    Args:
        store: Creates raw results; gives their ids.
    """

    def __init__(self, store: Callable[[Sequence[Sealed]], Sequence[str]]) -> None:
        self._store = store
        self._places: dict[str, str] = {}  # digest to result id
        # Held during an upload, so that two threads with the same content upload it once.
        # Reentrant, for a signal handler that makes a call.
        self._lock = threading.RLock()

    def upload(self, files: Sequence[Sealed]) -> None:
        """Have each of the files in the cluster: it gets its place.

        Raises:
            UsageError: One has changed since it was packed.
        """
        if not files:
            return
        with self._lock:
            new = {file.ref.digest: file for file in files if file.ref.digest not in self._places}
            if new:
                ids = self._store(list(new.values()))
                self._places.update(zip(new, ids, strict=True))
            for file in files:
                place = self._places[file.ref.digest]
                file.ref = msgspec.structs.replace(file.ref, result_id=place)
