"""Calls, their arguments and their results."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
import time
from typing import Any

import numpy as np
import pytest

from pymonik import Pymonik, Task, as_completed, task
from pymonik.errors import SerializationError, WaitTimeoutError

TIMEOUT_S = 50.0


@task
def add(a: Any, b: Any) -> Any:
    return a + b


@task
def keywords(a: int, *, b: int = 2, **others: int) -> dict[str, int]:
    return {"a": a, "b": b, **others}


@task
def nap(seconds: float) -> None:
    time.sleep(seconds)


@task
def same(value: Any) -> Any:
    return value


@task
def total(values: Any) -> Any:
    return sum(values)


@dataclasses.dataclass
class Box:
    content: Any
    label: str = ""


def test_a_call_gives_its_value(client: Pymonik) -> None:
    assert add.invoke("Hello", " World!").wait(timeout=TIMEOUT_S).get() == "Hello World!"


def test_a_task_called_as_a_function_runs_here(client: Pymonik) -> None:
    assert add(1, 2) == 3


@task
def fill(array: Any) -> Any:
    array[:] = 7
    return array


def test_a_task_may_write_to_an_array_that_it_was_given(client: Pymonik) -> None:
    for size in (10, 1_000, 100_000):
        given: Any = np.zeros(size, dtype=np.uint8)
        assert (fill.invoke(given).result(timeout=TIMEOUT_S) == 7).all()
        assert not given.any()


def test_keyword_arguments_arrive(client: Pymonik) -> None:
    handle = keywords.invoke(1, b=3, c=4)
    assert handle.result(timeout=TIMEOUT_S) == {"a": 1, "b": 3, "c": 4}


def test_defaults_apply(client: Pymonik) -> None:
    assert keywords.invoke(1).result(timeout=TIMEOUT_S) == {"a": 1, "b": 2}


def test_a_lambda_can_be_a_task(client: Pymonik) -> None:
    double = Task(lambda x: 2 * x, func_name="double")
    assert double.invoke(21).result(timeout=TIMEOUT_S) == 42


def test_a_handle_as_an_argument_arrives_as_its_value(client: Pymonik) -> None:
    assert add.invoke(add.invoke(1, 2), add.invoke(3, 4)).result(timeout=TIMEOUT_S) == 10


def test_a_handle_as_a_keyword_arrives_as_its_value(client: Pymonik) -> None:
    assert keywords.invoke(1, b=add.invoke(1, 1)).result(timeout=TIMEOUT_S)["b"] == 2


def test_handles_nested_in_containers_arrive_as_their_values(client: Pymonik) -> None:
    one, two = add.invoke(0, 1), add.invoke(1, 1)
    value = {"list": [one, {"deep": two}], "tuple": (one, two), "box": Box(one, "b")}
    assert same.invoke(value).result(timeout=TIMEOUT_S) == {
        "list": [1, {"deep": 2}],
        "tuple": (1, 2),
        "box": Box(1, "b"),
    }


def test_text_that_looks_like_a_reference_stays_text(client: Pymonik) -> None:
    text = "__pymonik_result__new:0"
    assert same.invoke(text).result(timeout=TIMEOUT_S) == text


def test_map_invoke_keeps_the_order(client: Pymonik) -> None:
    handles = add.map_invoke([(i, i) for i in range(50)])
    assert len(handles) == 50
    assert handles.wait(timeout=TIMEOUT_S).get() == [2 * i for i in range(50)]
    assert handles[3].get() == 6


def test_a_group_of_handles_arrives_as_a_list(client: Pymonik) -> None:
    handles = add.map_invoke([(i, 1) for i in range(10)])
    assert total.invoke(handles).result(timeout=TIMEOUT_S) == 55
    assert total.invoke(handles[:5]).result(timeout=TIMEOUT_S) == 15


def test_map_invoke_of_nothing_gives_nothing(client: Pymonik) -> None:
    assert list(add.map_invoke([]).wait(timeout=TIMEOUT_S).get()) == []


def test_as_completed_gives_every_handle_once(client: Pymonik) -> None:
    handles = add.map_invoke([(i, 0) for i in range(10)])
    assert sorted(handle.get() for handle in as_completed(handles)) == list(range(10))


def test_a_callback_is_called_with_the_handle(client: Pymonik) -> None:
    called = threading.Event()
    seen: list[Any] = []

    def note(handle: Any) -> None:
        seen.append(handle.get())
        called.set()

    handle = add.invoke(1, 1)
    handle.add_done_callback(note)
    assert called.wait(TIMEOUT_S)
    assert seen == [2]
    assert handle.done()
    assert handle.exception() is None


def test_handles_come_as_they_end_in_an_event_loop(client: Pymonik) -> None:
    async def main() -> list[int]:
        ticks = asyncio.create_task(tick())
        values = [
            handle.get()
            async for handle in add.map_invoke([(n, 1) for n in range(20)]).as_completed(
                timeout=TIMEOUT_S
            )
        ]
        ticks.cancel()
        return values

    async def tick() -> None:
        while True:
            await asyncio.sleep(0.001)

    assert sorted(asyncio.run(main())) == list(range(1, 21))


def test_waiting_in_an_event_loop_ends_with_its_own_time_out(client: Pymonik) -> None:
    async def main() -> None:
        handles = [nap.invoke(30)]
        try:
            async for _ in as_completed(handles, timeout=0.05):
                pytest.fail("it has not ended")
        finally:
            handles[0].cancel()

    with pytest.raises(WaitTimeoutError):
        asyncio.run(main())


def test_an_async_iteration_can_be_left(client: Pymonik) -> None:
    async def main() -> int:
        async for handle in add.map_invoke(
            ((n, 1) for n in range(50)), chunk_size=5
        ).as_completed():
            return int(handle.get(timeout=TIMEOUT_S))
        raise AssertionError("nothing came")

    assert 1 <= asyncio.run(main()) <= 50


def test_a_handle_can_be_awaited(client: Pymonik) -> None:
    async def main() -> Any:
        return await asyncio.wait_for(_value(add.invoke(2, 3)), TIMEOUT_S)

    async def _value(handle: Any) -> Any:
        return await handle

    assert asyncio.run(main()) == 5


def test_put_stores_a_value_that_many_calls_use(client: Pymonik) -> None:
    handle = client.put([1, 2, 3], name="numbers")
    assert total.invoke(handle).result(timeout=TIMEOUT_S) == 6
    assert same.invoke({"again": handle}).result(timeout=TIMEOUT_S) == {"again": [1, 2, 3]}


def test_put_many_gives_a_handle_for_each_value(client: Pymonik) -> None:
    one, two = client.put_many([1, 2])
    assert add.invoke(one, two).result(timeout=TIMEOUT_S) == 3


@pytest.mark.parametrize("rows", [3, 1_000_000])
def test_arrays_arrive_whole(client: Pymonik, rows: int) -> None:
    array: Any = np.arange(rows, dtype=np.float64)
    result = add.invoke(array, 1.0).result(timeout=TIMEOUT_S)
    np.testing.assert_array_equal(result, array + 1)


def test_what_changes_after_invoke_does_not_change_the_call(client: Pymonik) -> None:
    values = [1, 2, 3]
    handle = total.invoke(values)
    values.append(100)
    assert handle.result(timeout=TIMEOUT_S) == 6


def test_an_argument_that_cannot_be_sent_is_named_at_once(client: Pymonik) -> None:
    with pytest.raises(SerializationError, match=r"args\[1\]"):
        add.invoke(1, {"lock": threading.Lock()})


def test_none_is_a_value(client: Pymonik) -> None:
    assert same.invoke(None).result(timeout=TIMEOUT_S) is None


def test_a_client_can_be_named(client: Pymonik) -> None:
    assert add.invoke(1, 2, pymonik=client).result(timeout=TIMEOUT_S) == 3


def test_futures_end_though_a_callback_of_the_program_blocks(client: Pymonik) -> None:
    goes_on = threading.Event()
    handle = add.invoke(1, 2)
    handle.add_done_callback(lambda _: goes_on.wait(TIMEOUT_S))
    handle.wait(timeout=TIMEOUT_S)
    try:
        assert add.invoke(3, 4).future().result(timeout=TIMEOUT_S / 2) == 7
    finally:
        goes_on.set()
