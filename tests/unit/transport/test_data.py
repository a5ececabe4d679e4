"""Objects in a folder that the client shares with the storage."""

from __future__ import annotations

import gc
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from pymonik.transport.data import DataStore

if TYPE_CHECKING:
    from pathlib import Path


def test_objects_that_were_read_take_no_memory(tmp_path: Path) -> None:
    plane: Any = SimpleNamespace(small_data=lambda ids: [None] * len(ids))
    store = DataStore(plane, "session", chunk_bytes=0, folder=tmp_path)

    def come_and_go(letter: str) -> int:
        for number in range(500):
            result_id = f"read {letter}{number}"
            with open(f"{tmp_path}/{result_id}", "wb") as file:  # noqa: PTH123 - see `_place`
                file.write(b"abc")
            assert [bytes(data) for data in store.fetch([result_id])] == [b"abc"]
        gc.collect()
        return sys.getallocatedblocks()

    come_and_go("a")  # everything is loaded
    assert come_and_go("b") + 400 > come_and_go("c")  # each name would be a block
