"""A mapping that serves two calls is one that nobody can tell from a new one."""

from __future__ import annotations

import ctypes
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

from pymonik.executor import mappings
from pymonik.executor.mappings import Mappings

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 3 << 20
PAGE = 4096

pytestmark = pytest.mark.skipif(
    not mappings._writes_show(), reason="needs a system that tells of writes"
)


@pytest.fixture
def path(tmp_path: Path) -> str:
    file = tmp_path / "input"
    file.write_bytes(b"a" * SIZE)
    return str(file)


@pytest.fixture
def inputs() -> Mappings:
    return Mappings()


def load(inputs: Mappings, path: str) -> memoryview:
    content = inputs.load(path)
    assert isinstance(content, memoryview)
    return content


def address(content: memoryview) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(content))


def read(content: memoryview) -> bytes:
    return bytes(content[::PAGE])


def test_what_was_only_read_serves_the_next_call(inputs: Mappings, path: str) -> None:
    content = load(inputs, path)
    read(content)
    first = address(content)
    del content
    inputs.end_call()
    inputs.begin_call([path])
    assert address(load(inputs, path)) == first


@pytest.mark.parametrize("offset", [0, SIZE // 2, SIZE - 1])
def test_what_was_written_to_is_given_up(inputs: Mappings, path: str, offset: int) -> None:
    content = load(inputs, path)
    read(content)
    content[offset] = ord("b")
    del content
    assert bytes(load(inputs, path)) == b"a" * SIZE


def test_the_memory_of_what_was_written_is_free_after_the_call(inputs: Mappings, path: str) -> None:
    content = load(inputs, path)
    content[0] = ord("b")
    del content
    inputs.end_call()
    assert len(inputs) == 0


def test_what_another_thread_wrote_is_seen_after_the_thread_has_ended(
    inputs: Mappings, path: str
) -> None:
    read(load(inputs, path))
    inputs.end_call()

    def write() -> None:
        load(inputs, path)[PAGE] = ord("b")

    thread = threading.Thread(target=write)
    thread.start()
    thread.join()
    assert bytes(load(inputs, path)) == b"a" * SIZE


def test_two_loads_while_the_first_is_held_are_two_mappings(inputs: Mappings, path: str) -> None:
    held = load(inputs, path)[PAGE : 2 * PAGE]
    second = load(inputs, path)
    held[0] = ord("b")
    assert bytes(second) == b"a" * SIZE
    assert held[0] == ord("b")


def test_what_a_call_holds_is_its_own_afterwards(inputs: Mappings, path: str) -> None:
    held = load(inputs, path)
    inputs.end_call()
    assert len(inputs) == 0
    held[0] = ord("b")
    assert bytes(load(inputs, path)) == b"a" * SIZE


def test_a_call_without_the_input_gives_it_up(inputs: Mappings, path: str) -> None:
    load(inputs, path)
    inputs.end_call()
    assert len(inputs) == 1
    inputs.begin_call(["another"])
    assert len(inputs) == 0


def test_another_file_of_the_same_name_is_mapped_anew(
    inputs: Mappings, path: str, tmp_path: Path
) -> None:
    read(load(inputs, path))
    inputs.end_call()
    (tmp_path / "new").write_bytes(b"c" * SIZE)
    (tmp_path / "new").rename(path)
    assert bytes(load(inputs, path)) == b"c" * SIZE


def test_a_file_that_is_gone_is_not_found(inputs: Mappings, path: str) -> None:
    load(inputs, path)
    inputs.end_call()
    os.unlink(path)  # noqa: PTH108 - a path like those that executors get
    with pytest.raises(FileNotFoundError):
        inputs.load(path)


def test_small_files_are_not_kept(inputs: Mappings, tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(b"a" * 200_000)
    assert bytes(inputs.load(str(tmp_path / "small"))) == b"a" * 200_000
    assert len(inputs) == 0


def test_nothing_is_kept_once_copies_cannot_be_told(
    inputs: Mappings, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(inputs, path)[0] = ord("b")
    monkeypatch.setattr(mappings, "_PAGE_MAP", "/nowhere")
    inputs.end_call()
    assert len(inputs) == 0


@pytest.mark.parametrize(
    ("name", "answer"), [("faults", lambda: 0), ("_has_copies", lambda _: False)]
)
def test_nothing_is_kept_on_a_system_that_does_not_tell_of_writes(
    inputs: Mappings, path: str, monkeypatch: pytest.MonkeyPatch, name: str, answer: Any
) -> None:
    mappings._writes_show.cache_clear()
    monkeypatch.setattr(mappings, name, answer)
    assert bytes(load(inputs, path)) == b"a" * SIZE
    assert len(inputs) == 0
    mappings._writes_show.cache_clear()
