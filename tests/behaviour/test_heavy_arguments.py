"""A large argument of single calls is stored once, as long as it is the same."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from pymonik import Pymonik, task

if TYPE_CHECKING:
    from pymonik import LocalCluster

_ITEMS = 1_500_000  # 12 MB


@task
def first_and_sum(table: Any, scale: float, *, other: Any = None) -> tuple[float, float, bool]:
    table[0] += 0  # it can be written to, as the program's own
    return float(table[0]) * scale, float(table.sum()), other is table


def _stored(client: Pymonik) -> int:
    """Bytes of the results of the session: arguments, payloads, values."""
    return sum(row.size for row in client.results())


def test_many_calls_with_one_array_store_it_once(client: Pymonik) -> None:
    table: Any = np.arange(_ITEMS, dtype=np.float64)
    handles = [first_and_sum.invoke(table, float(scale)) for scale in range(6)]
    total = float(table.sum())
    assert [handle.get() for handle in handles] == [(0.0, total, False)] * 6
    assert _stored(client) < 2 * table.nbytes
    assert handles[3].replay() == (0.0, total, False)


def test_an_array_that_was_changed_is_another_value(client: Pymonik) -> None:
    table: Any = np.zeros(_ITEMS)
    before = first_and_sum.invoke(table, 1.0)
    table[0] = 5
    after = first_and_sum.invoke(table, 1.0)
    table[0] = 7  # of no matter: both calls were made
    assert before.get() == (0.0, 0.0, False)
    assert after.get() == (5.0, 5.0, False)
    assert first_and_sum.invoke(table, 1.0).get()[0] == 7.0


def test_a_session_that_ended_is_not_kept_by_its_arguments(cluster: LocalCluster) -> None:
    with Pymonik(cluster) as client:
        session = weakref.ref(client.session)
        assert first_and_sum.invoke(np.ones(_ITEMS), 2.0).get()[0] == 2.0
    del client
    gc.collect()
    assert session() is None


def test_one_object_given_twice_is_one_object(client: Pymonik) -> None:
    table: Any = np.ones(_ITEMS)
    assert first_and_sum.invoke(table, 2.0, other=table).get() == (2.0, float(_ITEMS), True)
