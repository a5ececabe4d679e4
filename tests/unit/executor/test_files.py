from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pymonik.executor import files

if TYPE_CHECKING:
    from pymonik.wire.containers import Buffer


@pytest.mark.parametrize("size", [0, 10, 200_000])
def test_what_is_saved_is_loaded(tmp_path: Path, size: int) -> None:
    segments: list[Buffer] = [b"a" * size, b"", memoryview(b"bc")] * 700
    path = files.save(str(tmp_path), segments if size < 100_000 else segments[:6])
    assert bytes(files.load(path)) == Path(path).read_bytes()
    assert len(Path(path).read_bytes()) == (size + 2) * (700 if size < 100_000 else 2)


def test_a_loaded_file_can_be_changed_in_memory_only(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"a" * 100_000)
    view = files.load(str(path))
    assert not isinstance(view, bytes)
    view[0] = ord("b")
    assert path.read_bytes()[:1] == b"a"
