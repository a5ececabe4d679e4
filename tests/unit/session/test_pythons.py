from __future__ import annotations

import sys

import pytest

from pymonik.code.codec import Packed
from pymonik.code.packed_function import PackedFunction
from pymonik.errors import SerializationError
from pymonik.session.pythons import Pythons
from pymonik.wire.call import Origin

OURS = sys.version_info[:2]
OTHER = (OURS[0], OURS[1] + 1)

OF_MODULE = PackedFunction("id", "area", b"")
OF_SCRIPT = PackedFunction("id", "area", b"", compiled="area")
DATA = Packed((b"",), 0)
CODE = Packed((b"",), 0, compiled="<lambda>")


def made(partition: str, python: tuple[int, int]) -> Origin:
    return Origin("pod", 1, 1, 1, 0.0, partition, python)


@pytest.mark.parametrize(("function", "call"), [(OF_SCRIPT, DATA), (OF_MODULE, CODE)])
def test_code_by_value_is_refused_where_only_another_python_was_seen(
    function: PackedFunction, call: Packed
) -> None:
    pythons = Pythons()
    pythons.check("cpu", function, [DATA, call])  # nothing is known yet
    pythons.saw(made("cpu", OTHER))
    with pytest.raises(SerializationError) as refused:
        pythons.check("cpu", function, [DATA, call])
    text = str(refused.value)
    assert "compiled by Python {}.{}".format(*OURS) in text
    assert "cannot run on Python {}.{}".format(*OTHER) in text


def test_each_partition_has_its_own() -> None:
    pythons = Pythons()
    pythons.saw(made("gpu", OTHER))
    pythons.check("cpu", OF_SCRIPT, [])
    with pytest.raises(SerializationError):
        pythons.check("gpu", OF_SCRIPT, [])


def test_a_pod_of_our_own_python_lets_calls_go() -> None:
    pythons = Pythons()
    pythons.saw(made("cpu", OTHER))
    pythons.saw(made("cpu", OURS))
    pythons.check("cpu", OF_SCRIPT, [])


def test_code_of_modules_and_data_are_never_refused() -> None:
    pythons = Pythons()
    pythons.saw(made("cpu", OTHER))
    pythons.saw(None)  # data that the program put
    pythons.check("cpu", OF_MODULE, [DATA])
