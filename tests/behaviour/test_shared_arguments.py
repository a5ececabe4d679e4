"""What many calls of a map have as an argument is stored once, and can still be looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pymonik import task

if TYPE_CHECKING:
    from pymonik import Pymonik


@task
def scaled(table: Any, by: int, unit: dict[str, Any]) -> float:
    if by == 3:
        raise ValueError("three")
    return float(table.sum()) * by * len(unit["table"]) / len(table)


def test_calls_with_a_shared_argument_tell_it_and_run_again(client: Pymonik) -> None:
    del client
    table: Any = np.arange(20_000.0)
    unit = {"table": table}  # both are stored as one value, of which each call has two parts
    total = float(table.sum())
    many = scaled.map_invoke([(table, by, unit) for by in range(5)])
    assert many.exceptions()[3] is not None
    args = many[2].args
    assert (args[0] == table).all()
    assert args[2]["table"] is args[0]
    assert many[2].replay() == 2 * total
    assert many.rows()[1]["by"] == 1
    assert "argument" in many.rows()[1]["table"]
    with pytest.raises(ValueError, match="three"):
        many[3].replay()
    many.rerun(many.failed, with_=lambda *_: -1.0)
    assert many.get() == [0.0, total, 2 * total, -1.0, 4 * total]
