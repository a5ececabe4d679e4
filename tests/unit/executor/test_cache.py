"""Functions are kept by what they take, not by how many they are."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING, Any

from pymonik import Task
from pymonik.executor.cache import FunctionCache

if TYPE_CHECKING:
    from pymonik.code.packed_function import PackedFunction


def packed(size: int) -> PackedFunction:
    blob = bytes(size)
    return Task(lambda: len(blob), func_name="f").packed()


def load(cache: FunctionCache, function: PackedFunction) -> Any:
    return cache.get(function.content_id, lambda: function.container)


def test_a_function_that_is_kept_is_not_loaded_again() -> None:
    cache, function = FunctionCache(), packed(10)
    assert load(cache, function) is load(cache, function)


def test_the_oldest_go_once_all_take_too_much_and_are_freed_at_once() -> None:
    cache = FunctionCache(most_bytes=250_000)
    large = [packed(100_000 + number) for number in range(3)]
    gc.disable()
    try:
        first = weakref.ref(load(cache, large[0]))
        load(cache, large[1])
        assert first() is not None
        load(cache, large[2])
        assert first() is None
    finally:
        gc.enable()


def test_one_function_is_kept_however_large_it_is() -> None:
    cache, function = FunctionCache(most_bytes=10), packed(1000)
    assert load(cache, function) is load(cache, function)


def test_many_small_functions_are_kept() -> None:
    cache = FunctionCache()
    functions = [packed(number) for number in range(500)]
    loaded = [load(cache, function) for function in functions]
    assert all(
        load(cache, function) is one for function, one in zip(functions, loaded, strict=True)
    )
