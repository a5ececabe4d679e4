"""Garbage collection is put off, and comes back as it was."""

from __future__ import annotations

import gc

import pytest

from pymonik.core.bulk import no_collections


def fail_without_collections() -> None:
    with no_collections():
        assert not gc.isenabled()
        raise KeyError


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
