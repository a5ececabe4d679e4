"""Files that a parent shares with its executor."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

import pytest

from pymonik.executor.nameless import nameless_file

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def small_files() -> Iterator[int]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    yield 1000
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_new_file_is_full_of_zeros() -> None:
    with nameless_file("trial", 5000) as file:
        assert file.read() == bytes(5000)


def test_a_limit_of_the_size_of_files_names_what_and_where(small_files: int) -> None:
    with pytest.raises(OSError, match="the trial of an executor cannot be written in memory: File"):
        nameless_file("trial", small_files + 1)
