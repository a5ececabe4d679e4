"""Sizes of memory as people write them."""

from __future__ import annotations

import numpy as np
import pytest

from pymonik.errors import UsageError
from pymonik.launch.sizes import size


@pytest.mark.parametrize(
    ("value", "nbytes"),
    [("2G", 2 << 30), ("500M", 500 << 20), ("1.5 GiB", 3 << 29), ("7k", 7 << 10), ("12", 12)],
)
def test_a_text_gives_bytes(value: str, nbytes: int) -> None:
    assert size(value, "limit=") == nbytes


def test_numbers_are_bytes_numpys_too() -> None:
    assert size(5, "limit=") == size(np.int32(5), "limit=") == 5


@pytest.mark.parametrize("value", ["", "0", "much", "2X", "-1", 0, -5, 1.5, None, True, b"2G"])
def test_what_is_no_size_is_named_with_its_place(value: object) -> None:
    with pytest.raises(UsageError, match=r"limit= is a size such as '500M', '2G'"):
        size(value, "limit=")


def test_nothing_at_all_is_a_size_where_somebody_may_want_it() -> None:
    assert size("0", "limit=", least=0) == size(0, "limit=", least=0) == 0
    with pytest.raises(UsageError):
        size("much", "limit=", least=0)
