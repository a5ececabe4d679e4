"""Environments as values."""

from __future__ import annotations

import pytest

from pymonik import UsageError
from pymonik.wire.environment import Environment


def test_packages_are_known_by_their_content():
    one = Environment.parse({"pip": ["numpy", ("pandas", "2.2"), ("scipy", ">=1")]})
    two = Environment.parse({"pip": [("scipy", ">=1"), "pandas==2.2", ("numpy", None)]})
    assert one.pip == ("numpy", "pandas==2.2", "scipy>=1")
    assert one.packages_id == two.packages_id
    assert Environment.parse(None).packages_id == ""


@pytest.mark.parametrize(
    "wrong",
    [[], {"conda": []}, {"pip": "numpy"}, {"pip": [3]}, {"env_variables": {"A": 1}},
     {"env_variables": {"A=B": "1"}}, {"env_variables": {"A": "x\0y"}},
     {"env_variables": {"A": "\udcff"}}, {"env_variables": {"\udcff": "a"}}],
)  # fmt: skip
def test_a_wrong_environment_is_refused(wrong):
    with pytest.raises(UsageError):
        Environment.parse(wrong)


def test_the_value_of_a_variable_is_not_in_the_message():
    with pytest.raises(UsageError) as caught:
        Environment.parse({"env_variables": {"TOKEN": b"secret"}})
    assert "secret" not in str(caught.value)
