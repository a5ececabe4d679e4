from __future__ import annotations

import pathlib
import sys

import pytest

from pymonik.code import codec, compiled, packed_function
from pymonik.errors import SerializationError

OTHER = (sys.version_info[0], sys.version_info[1] + 1)


def pickled_by_another(value: object, monkeypatch: pytest.MonkeyPatch) -> codec.Packed:
    with monkeypatch.context() as patch:
        patch.setattr(compiled, "here", lambda: OTHER)
        return codec.pack(value)


def test_code_is_refused_by_another_python_with_the_ways_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    packed = pickled_by_another({"key": lambda x: x}, monkeypatch)
    with pytest.raises(SerializationError) as refused:
        codec.unpack(packed.blobs)
    text = str(refused.value)
    assert f"compiled by Python {OTHER[0]}.{OTHER[1]}" in text
    assert "lambda" in text
    assert "partition=" in text
    assert "same Python" in text
    assert "module" in text


def test_code_with_odd_constants_is_refused_too(monkeypatch: pytest.MonkeyPatch) -> None:
    function = (lambda: 0).__code__.replace(co_consts=([1],))
    packed = pickled_by_another(function, monkeypatch)
    with pytest.raises(SerializationError, match="compiled by Python"):
        codec.unpack(packed.blobs)


def test_code_with_odd_constants_arrives_at_the_same_python() -> None:
    code = (lambda: 0).__code__.replace(co_consts=([1],))
    assert codec.unpack(codec.pack(code).blobs).co_consts == ([1],)


def test_what_has_no_code_crosses_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    value = {"path": pathlib.Path("a/b"), "number": 3, "call": pathlib.Path.exists}
    assert codec.unpack(pickled_by_another(value, monkeypatch).blobs) == value


def test_paths_are_pickled_as_every_version_knows_them() -> None:
    assert b"_local" not in bytes(codec.pack([pathlib.Path("a"), pathlib.PurePosixPath]).blobs[0])


def test_a_pickle_says_whether_it_holds_code_by_value() -> None:
    class Local:
        def area(self) -> int:
            return 3

    assert codec.pack([1, "text", pathlib.Path("a")]).compiled == ""
    assert codec.pack(pathlib.Path.joinpath).compiled == ""
    assert codec.pack({"key": lambda: 0}).compiled.endswith("<lambda>")
    assert codec.pack(Local()).compiled.endswith("area")
    assert packed_function.pack_function(lambda: 0, "f").compiled.endswith("<lambda>")
