"""Files in memory keep no descriptor, and go when nobody uses them."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest

from pymonik.content.mapped import mapped


def view_of(path: Path) -> memoryview:
    fd = os.open(path, os.O_RDONLY)
    try:
        return mapped(fd, path.stat().st_size)
    finally:
        os.close(fd)


def count_mappings(path: Path) -> int:
    return Path("/proc/self/maps").read_text().count(str(path))


def test_many_keep_no_descriptor_and_end_with_their_last_view(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc" * 50_000)
    before = len(list(Path("/dev/fd").iterdir()))
    views = [view_of(path)[3:6] for _ in range(20)]
    assert len(list(Path("/dev/fd").iterdir())) == before
    assert {bytes(view) for view in views} == {b"abc"}
    assert count_mappings(path) > 0
    views.clear()
    gc.collect()
    assert count_mappings(path) == 0


def test_writing_changes_neither_the_file_nor_another_view(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc" * 50_000)
    one, other = view_of(path), view_of(path)
    one[0] = ord("x")
    assert (one[0], other[0]) == (ord("x"), ord("a"))
    assert path.read_bytes()[:3] == b"abc"


def test_what_cannot_be_mapped_is_an_error_of_the_system() -> None:
    reader, writer = os.pipe()
    with pytest.raises(OSError, match="No such device"):
        mapped(reader, 4096)
    os.close(reader)
    os.close(writer)
