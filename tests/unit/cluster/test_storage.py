"""Objects in files: whole or not there, and never outside of the folder."""

from __future__ import annotations

import errno
import gc
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pymonik.cluster.storage import HELD_BYTES, HELD_SHARE, SMALL, Storage
from pymonik.content import objects
from pymonik.launch import memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path / "objects")


@pytest.fixture
def divided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """One whose large objects lie in another folder: those of three bytes and more."""
    monkeypatch.setattr(objects, "LARGE", 3)
    monkeypatch.setattr("pymonik.cluster.storage.SMALL", 0)  # nothing stays in memory
    monkeypatch.setattr(objects, "_can_wait", lambda _size: True)
    (tmp_path / "memory").mkdir()
    objects.add_large(tmp_path / "memory", tmp_path / "disk")
    return Storage(tmp_path / "memory" / "objects")


def _on_disk(tmp_path: Path) -> list[str]:
    return sorted(one.name for one in (tmp_path / "disk" / "objects").iterdir())


def _names(storage: Storage) -> list[str]:
    return sorted(one.name for one in storage.folder.iterdir() if one.name[0] != ".")


def test_objects_written_streamed_and_adopted_read_alike(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    objects = [
        storage.write(b"abc", "result"),
        storage.receive(iter([b"a", b"", b"bc"])),
        storage.adopt(tmp_path / "file", "other"),
    ]
    assert [b"".join(storage.read(one.opaque_id, 2)) for one in objects] == [b"abc"] * 3
    assert [(one.size, storage.size(one.opaque_id)) for one in objects] == [(3, 3)] * 3
    assert not (tmp_path / "file").exists()


def test_a_stream_that_breaks_leaves_nothing(storage: Storage) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"abc"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        storage.receive(chunks())
    assert list(storage.folder.iterdir()) == []


@pytest.mark.parametrize("name", ["", ".", "..", "../file", "/etc/passwd", ".hidden", "a\0b"])
def test_no_name_leads_out_of_the_folder(storage: Storage, tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert not storage.exists(name)
    storage.delete(name)
    assert (tmp_path / "file").exists()
    with pytest.raises(ValueError, match="not the name"):
        storage.file(name)


def test_deleting_twice_is_fine(storage: Storage) -> None:
    opaque_id = storage.write(b"abc", "result").opaque_id
    storage.delete(opaque_id)
    storage.delete(opaque_id)
    assert storage.size(opaque_id) is None


def test_an_object_has_the_name_of_its_result_until_that_is_taken(storage: Storage) -> None:
    first, second = (
        storage.write(b"abc", "result").opaque_id,
        storage.write(b"def", "result").opaque_id,
    )
    assert first == "result"
    assert second != "result"
    assert b"".join(storage.read(first, 8)) == b"abc"


def test_a_small_object_takes_its_name_from_no_file(storage: Storage, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    moved.write_bytes(b"abc")
    storage.adopt(moved, "adopted")
    storage.write(bytes(SMALL + 1), "large")
    storage.file(storage.write(b"abc", "was small").opaque_id)
    (storage.folder / "imported").write_bytes(b"abc")
    assert storage.announced("imported") == 3
    assert storage.announced("nowhere") is None
    for name in ("adopted", "large", "was small", "imported"):
        other = storage.write(b"def", name).opaque_id
        assert other != name
        assert storage.held(name) is None
        storage.delete(name)
        assert storage.write(b"ghi", name).opaque_id == name
        assert storage.small(other) == b"def"


def test_a_file_that_is_moved_in_has_that_name_too_but_takes_it_from_nobody(
    storage: Storage, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"abc")
    assert storage.adopt(file, "result").opaque_id == "result"
    file.write_bytes(b"def")
    other = storage.adopt(file, "result").opaque_id
    assert b"".join(storage.read("result", 8)) == b"abc"
    assert b"".join(storage.read(other, 8)) == b"def"


def test_an_id_that_is_no_file_name_does_not_become_one(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    written = storage.write(b"abc", "../result").opaque_id
    for opaque_id in (written, storage.adopt(tmp_path / "file", "../result").opaque_id):
        assert b"".join(storage.read(opaque_id, 8)) == b"abc"
    assert not (storage.folder.parent / "result").exists()


def test_what_is_held_in_memory_reads_like_the_rest_and_is_a_file_when_asked_for(
    storage: Storage,
) -> None:
    held = storage.write(b"abc", "result").opaque_id
    assert list(storage.folder.iterdir()) == []
    assert (storage.size(held), storage.small(held)) == (3, b"abc")
    assert Path(storage.file(held)).read_bytes() == b"abc"
    assert (storage.size(held), storage.small(held)) == (3, b"abc")
    storage.delete(held)
    assert not storage.exists(held)


def test_a_small_object_is_given_as_bytes_once_then_as_a_file_for_all(storage: Storage) -> None:
    name = storage.write(b"abc", "result").opaque_id
    assert storage.first_use(name) == b"abc"
    assert storage.first_use(name) is None
    assert Path(storage.file(name)).read_bytes() == b"abc"
    assert storage.first_use(name) is None  # it is a file
    storage.delete(name)
    assert storage.write(b"def", "result").opaque_id == name
    assert storage.first_use(name) == b"def"


def test_what_is_held_in_memory_is_streamed_and_deleted(storage: Storage) -> None:
    held, other = (
        storage.write(b"abc", "result").opaque_id,
        storage.write(b"abc", "other").opaque_id,
    )
    assert b"".join(storage.read(held, 2)) == b"abc"
    storage.delete(other)
    assert not storage.exists(other)


def test_a_result_that_is_held_and_completed_again_has_two_objects(storage: Storage) -> None:
    held = storage.write(b"abc", "result").opaque_id
    other = storage.write(b"def", "result").opaque_id
    assert [storage.small(held), storage.small(other)] == [b"abc", b"def"]


def test_what_is_large_or_one_too_many_is_not_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "total", lambda: (HELD_BYTES + 4) / HELD_SHARE)
    storage = Storage(tmp_path / "storage")
    sizes = (SMALL + 1, 3, 2)
    objects = [storage.write(bytes(size), str(size)).opaque_id for size in sizes]
    assert sorted(one.name for one in storage.folder.iterdir()) == sorted([objects[0], objects[2]])


def test_objects_that_are_gone_take_no_memory(storage: Storage) -> None:
    def come_and_go(letter: str) -> int:
        for number in range(500):
            objects = [
                storage.write(b"abc", f"{letter}{number}").opaque_id,
                storage.write(b"abc", f"{letter} {number}").opaque_id,
            ]
            objects.append(storage.receive(iter([b"abc"])).opaque_id)
            for one in objects:
                assert b"".join(storage.read(one, 3)) == b"abc"
                storage.delete(one)
        gc.collect()
        return sys.getallocatedblocks()

    come_and_go("a")  # everything is loaded
    assert come_and_go("b") + 400 > come_and_go("c")  # each name would be a block


def test_large_objects_lie_in_their_folder_and_are_found_by_name(
    divided: Storage, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    large = [
        divided.write(b"abc", "result").opaque_id,
        divided.receive(iter([b"a", b"", b"bc"])).opaque_id,
        divided.adopt(tmp_path / "file", "other").opaque_id,
    ]
    stored = [divided.write(b"ab", "small"), divided.receive(iter([b"a", b"b"]))]
    small = [one.opaque_id for one in stored]
    assert _on_disk(tmp_path) == sorted(large)
    assert _names(divided) == sorted(large + small)
    assert [divided.size(one) for one in (*large, *small)] == [3, 3, 3, 2, 2]
    assert [Path(divided.file(one)).read_bytes() for one in large] == [b"abc"] * 3
    assert b"".join(divided.read(large[0], 2)) == b"abc"


def test_deleting_large_objects_deletes_their_bytes(divided: Storage, tmp_path: Path) -> None:
    for name in ("result", "other"):
        divided.delete(divided.write(b"abc", name).opaque_id)
    assert _on_disk(tmp_path) == _names(divided) == []
    assert not divided.exists("result")


def test_a_large_stream_that_breaks_leaves_nothing(divided: Storage, tmp_path: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"abc"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        divided.receive(chunks())
    assert _on_disk(tmp_path) == _names(divided) == []


@pytest.mark.parametrize("first", [b"ab", b"abc"])
def test_a_large_object_takes_its_name_from_nobody(
    divided: Storage, tmp_path: Path, first: bytes
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"ghi")
    others = [divided.write(data, "result").opaque_id for data in (first, b"def")]
    others.append(divided.adopt(file, "result").opaque_id)
    assert [b"".join(divided.read(one, 8)) for one in others] == [first, b"def", b"ghi"]
    assert others[0] == "result"
    assert len(set(others)) == len(_names(divided)) == 3
    assert set(_on_disk(tmp_path)) == set(others if first == b"abc" else others[1:])


def test_what_cannot_be_written_leaves_nothing(
    divided: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(os, "writev", full)
    for write in (lambda: divided.write(b"abc", "r"), lambda: divided.receive(iter([b"abc"]))):
        with pytest.raises(OSError, match="no space"):
            write()
    assert _on_disk(tmp_path) == _names(divided) == []


def test_a_file_has_its_name_from_before_it_is_there_until_it_is_gone(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    others: list[str] = []

    def meanwhile(work: Callable[..., None]) -> Callable[..., None]:
        def do(*arguments: Any) -> None:
            others.append(storage.write(b"another attempt", "result").opaque_id)
            work(*arguments)
            others.append(storage.write(b"another attempt", "result").opaque_id)

        return do

    monkeypatch.setattr(objects, "store", meanwhile(objects.store))
    monkeypatch.setattr(objects, "remove", meanwhile(objects.remove))
    assert storage.write(bytes(SMALL + 1), "result").opaque_id == "result"
    storage.delete("result")
    assert len(others) >= 4
    assert "result" not in others
    monkeypatch.undo()
    assert storage.write(b"abc", "result").opaque_id == "result"


def test_what_is_deleted_while_it_is_used_leaves_no_name(storage: Storage) -> None:
    storage.write(b"abc", "stays")
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(2) as threads:
            for turn in range(30):
                names = [storage.write(b"abc", f"{turn}-{i}").opaque_id for i in range(1_000)]
                ends = [threads.submit(list, map(storage.first_use, names))]
                ends += [threads.submit(list, map(storage.delete, names))]
                for end in ends:
                    end.result()
    finally:
        sys.setswitchinterval(before)
    assert not storage._used
