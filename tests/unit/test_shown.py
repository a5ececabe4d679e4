"""Arguments as text, from their pickles, without running code of theirs."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest

from pymonik.code import codec
from pymonik.code.shown import shown_call


class Odd:
    made = 0

    def __reduce__(self) -> tuple[object, ...]:
        return _make, ()

    def __repr__(self) -> str:
        raise RuntimeError


def _make() -> Odd:
    Odd.made += 1
    return Odd()


def shown(*args: object, **kwargs: object) -> str:
    return shown_call(codec.pack_call(args, kwargs).blobs[0], ("mesh", "dt"))


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ((17, 0.5), "mesh=17, dt=0.5"),
        ((1, 2, 3), "mesh=1, dt=2, 3"),
        (([1, {"a": None}],), "mesh=[1, {'a': None}]"),
        (({1, 2},), "mesh={1, 2}"),
        ((np.zeros(3),), "mesh=array(…)"),
        ((np.zeros(100_000),), "mesh=array(…)"),
        ((pathlib.PurePosixPath("/x"),), "mesh=PurePosixPath(…)"),
        ((), ""),
    ],
)
def test_arguments_have_the_names_of_their_parameters(args: tuple[object, ...], text: str) -> None:
    assert shown(*args) == text


def test_keywords_follow() -> None:
    assert shown(1, other="x") == "mesh=1, other='x'"


def test_long_ones_are_cut() -> None:
    assert len(shown("x" * 1000)) < 60
    assert len(shown(*range(1000))) == 120


def test_nothing_of_the_users_runs() -> None:
    assert shown(Odd()).endswith("(…)")
    assert Odd.made == 0


def test_what_is_no_pickle_is_not_shown() -> None:
    assert shown_call(b"garbage") == ""
