"""Spans of time, ids and numbers as people read them."""

from __future__ import annotations

import pytest

from pymonik.wording import count, short, size, span


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.000028, "28 µs"),
        (0.0004, "0.4 ms"),
        (0.25, "0.25 s"),
        (9.4, "9.4 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (130, "2 min 10 s"),
        (3600, "1 h"),
        (11_100, "3 h 5 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_a_span_has_its_two_largest_units(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_ids_are_cut_and_numbers_have_their_noun() -> None:
    assert short("9f1c2a7b-88") == "9f1c2a7b…"
    assert short("w1") == "w1"
    assert [count(1, "pod"), count(2, "pod")] == ["1 pod", "2 pods"]


@pytest.mark.parametrize(
    ("nbytes", "text"), [(0, "0 B"), (999, "999 B"), (812_000_000, "812 MB"), (1.9e12, "1.9 TB")]
)
def test_a_size_has_three_digits(nbytes: int, text: str) -> None:
    assert size(int(nbytes)) == text
