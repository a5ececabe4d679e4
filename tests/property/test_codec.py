"""Whatever is packed arrives equal, and what was cut or is foreign is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymonik import SerializationError
from pymonik.code import codec, opened_result
from pymonik.wire import containers
from pymonik.wire.call import ItemMeta, ResultMeta

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(values)
def test_a_value_arrives_equal(value):
    container = b"".join(opened_result.join_value(codec.pack(value)))
    assert opened_result.OpenedResult(container).value() == value


@given(st.lists(values, max_size=3).map(tuple), st.dictionaries(st.text(), values, max_size=3))
def test_a_call_arrives_equal(args, kwargs):
    assert codec.unpack(codec.pack_call(args, kwargs).blobs) == (args, kwargs)


def blob_positions(container: bytes) -> list[int]:
    """Where the blobs of a container begin that arrays may be mapped from."""
    start = np.frombuffer(container, np.uint8).ctypes.data
    large = [blob for blob in containers.split(container)[1] if len(blob) >= 2048]
    return [np.frombuffer(blob, np.uint8).ctypes.data - start for blob in large]


@given(st.integers(0, 5000), st.sampled_from(["u1", "f8", "c16"]))
def test_an_array_arrives_equal_and_aligned(size, dtype):
    array: Any = np.arange(size).astype(dtype)
    container = b"".join(opened_result.join_value(codec.pack(array)))
    assert np.array_equal(opened_result.OpenedResult(container).value(), array)
    assert all(position % 64 == 0 for position in blob_positions(container))


@given(st.lists(st.integers(0, 3000).map(bytes), max_size=8), st.integers(0, 8), st.integers(0, 8))
def test_blobs_are_cut_out_as_of_a_list(blobs, first, last):
    meta = ResultMeta(items=(ItemMeta(len(blobs)),))
    found = containers.split(b"".join(containers.join(meta, blobs)))[1]
    assert list(found) == blobs
    assert found[first:last] == blobs[first:last]
    last = min(last, len(blobs))
    assert found.cut(first, last) == blobs[first:last]


@given(st.binary(max_size=200))
def test_foreign_bytes_are_refused(data):
    with pytest.raises(SerializationError):
        containers.split(data)


@given(values, st.data())
def test_a_container_that_was_cut_is_refused(value, data):
    container = b"".join(opened_result.join_value(codec.pack(value)))
    size = data.draw(st.integers(0, len(container) - 1))
    with pytest.raises(SerializationError):
        containers.split(container[:size])
