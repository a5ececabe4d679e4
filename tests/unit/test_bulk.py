"""Garbage collection is put off, and comes back as it was."""

from __future__ import annotations

import gc

import pytest

from pymonik.session.bulk import no_collections


def fail_without_collections() -> None:
    with no_collections():
        assert not gc.isenabled()
        raise KeyError


@pytest.mark.skipif(gc.get_freeze_count() > 0, reason="this Python has frozen objects of its own")
def test_what_was_made_is_not_gone_over_soon() -> None:
    with no_collections():
        made = [[number] for number in range(10_000)]
    young = {id(one) for one in gc.get_objects(0)} | {id(one) for one in gc.get_objects(1)}
    assert young.isdisjoint(map(id, made))
    assert gc.get_freeze_count() == 0


def test_what_the_program_has_frozen_stays_frozen() -> None:
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        with no_collections():
            pass
        # Not equal: a thread of an earlier test may let go of something meanwhile.
        assert gc.get_freeze_count() > frozen // 2
    finally:
        gc.unfreeze()


def test_collection_comes_back_after_an_error() -> None:
    with pytest.raises(KeyError):
        fail_without_collections()
    assert gc.isenabled()


def test_it_stays_off_where_the_program_has_switched_it_off() -> None:
    gc.disable()
    try:
        with no_collections():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()
