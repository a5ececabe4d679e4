"""Files that code names by a constant: another content is another key."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from pymonik import task
from pymonik.cache.keys import Keys
from pymonik.cache.named_files import named_files, texts_of
from pymonik.code.program import Program

if TYPE_CHECKING:
    from pathlib import Path


def reader(n: int, path: str = "not/a/default.csv") -> Any:
    """Reads cases.csv, says the documentation."""

    def inner() -> bytes:
        with open("data/cases.csv", "rb") as file:  # noqa: PTH123
            return file.read()

    return inner(), ("a.b", ("nested.txt", 3)), "no path at all", "...", "line.\n", n, path


@task
def cached(n: int) -> Any:
    return reader(n)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    return tmp_path


def test_constants_that_may_be_paths_are_found_in_all_code() -> None:
    found = texts_of([reader.__code__])
    assert {"data/cases.csv", "a.b", "nested.txt"} <= found
    assert not {"no path at all", "...", "line.\n", "rb"} & found


def test_only_what_lies_there_counts_and_by_its_content(folder: Path) -> None:
    texts = texts_of([reader.__code__])
    assert named_files(texts) == []
    file = folder / "data" / "cases.csv"
    file.write_text("1")
    (first,) = named_files(texts)
    assert first.name == "file data/cases.csv"
    file.write_text("2")
    (second,) = named_files(texts)
    assert second.digest != first.digest
    file.write_text("1")
    os.utime(file, (5, 5))
    assert named_files(texts) == [first]


def test_a_key_follows_the_file_within_one_program(folder: Path) -> None:
    keys, program = Keys(), Program()

    def key() -> Any:
        function, call = cached.packed(), cached._pack_call((1,), {})
        return keys.code(cached, function, call, program.code(function, [call]))

    without = key()
    file = folder / "data" / "cases.csv"
    file.write_text("1")
    first = key()
    file.write_text("2")
    second = key()
    assert len({without.digest, first.digest, second.digest}) == 3
    assert "file data/cases.csv" in {part.name for part in second.parts}
    assert keys.parts_of(first.digest) == first.parts
    file.unlink()
    assert key() == without
