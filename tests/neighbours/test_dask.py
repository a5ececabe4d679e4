"""dask with our scheduler."""

from __future__ import annotations

import threading
from operator import add
from typing import TYPE_CHECKING, Any

import dask
import pytest
from dask.callbacks import Callback
from dask.utils_test import GetFunctionTestMixin

from pymonik import Pymonik, task
from pymonik.dask import get

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _session(client: Pymonik) -> Iterator[None]:
    with dask.config.set(scheduler=get):
        yield


def square(x: int) -> int:
    return x * x


def fail(x: int) -> int:
    raise LookupError(x)


class TestWhatDaskAsksOfSchedulers(GetFunctionTestMixin):  # type: ignore[misc]
    get = staticmethod(get)


def test_delayed_calls():
    parts = [dask.delayed(square)(n) for n in range(10)]
    assert dask.compute(dask.delayed(sum)(parts)) == (sum(n * n for n in range(10)),)


def test_a_failure_is_raised_as_it_is_where_others_depend_on_it():
    failed = dask.delayed(fail)(3)
    parts = [failed, dask.delayed(square)(2)]
    with pytest.raises(LookupError, match="3"):
        dask.compute(dask.delayed(sum)(parts), dask.delayed(str)(failed))


def test_values_that_several_nodes_need_are_stored():
    table = list(range(20_000))
    graph: dict[Any, Any] = {"table": table}
    graph |= {("at", n): (list.__getitem__, "table", n) for n in range(5)}
    assert get(graph, [("at", n) for n in range(5)]) == tuple(range(5))


def test_a_key_may_be_another_name_and_data_may_be_asked_for():
    graph = {"a": 1, "b": "a", "c": (add, "b", 10)}
    assert get(graph, ["a", "b", ["c"]]) == (1, 1, (11,))


def test_handles_of_values_that_are_not_needed_are_let_go():
    """A handle that is kept would keep its value in the cluster."""
    graph: dict[Any, Any] = {"x0": (square, 2)}
    graph |= {f"x{n + 1}": (add, f"x{n}", f"x{n}") for n in range(20)}
    assert get(graph, "x20", optimize_graph=False) == 4 * 2**20


class Heard(Callback):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def _start(self, dsk: Any) -> None:
        self.told.append("start")

    def _pretask(self, key: Any, dsk: Any, state: Any) -> None:
        self.told.append(f"before {key}")

    def _posttask(self, key: Any, result: Any, dsk: Any, state: Any, worker: Any) -> None:
        self.told.append(f"after {key} {len(state['finished'])}")

    def _finish(self, dsk: Any, state: Any, errored: bool) -> None:
        self.told.append(f"finish {errored}")


def test_callbacks_hear_of_each_node():
    with Heard() as heard:
        get({"x": (square, 2), "y": (add, "x", "x")}, "y", optimize_graph=False)
    assert heard.told == ["start", "before x", "before y", "after x 1", "after y 2", "finish False"]


def test_callbacks_hear_of_a_failure():
    with Heard() as heard, pytest.raises(LookupError):
        get({"x": (fail, 2), "y": (add, "x", 1)}, "y")
    assert heard.told[-1] == "finish True"


def test_a_task_may_compute_a_graph():
    @task
    def compute() -> int:
        return int(get({"x": (square, 3), "y": (add, "x", 1)}, "y"))

    assert compute.invoke().get() == 10


def test_threads_without_a_session_may_compute():
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(get({"x": (square, 3)}, "x")))
    thread.start()
    thread.join()
    assert found == [9]


def test_arrays_and_bags():
    array = pytest.importorskip("dask.array")
    bag = pytest.importorskip("dask.bag")
    ones = array.ones((40, 40), chunks=(20, 20))
    assert float((ones @ ones.T).sum().compute()) == 40.0**3
    assert bag.from_sequence(range(100), npartitions=10).map(square).sum().compute() == 328350
