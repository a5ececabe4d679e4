"""Right calls: no type checker may say anything. Checked by mypy and pyright, not run."""

import asyncio
from collections.abc import Generator
from concurrent.futures import Future
from datetime import timedelta
from pathlib import Path
from typing import Any

from typing_extensions import assert_type

from pymonik import (
    Executor,
    File,
    MultiResultHandle,
    Outcome,
    Outputs,
    Pymonik,
    PymonikContext,
    ResultHandle,
    TaskEvent,
    TaskFailed,
    as_completed,
    command,
    get_context,
    task,
)


@task
def add(a: int, b: int) -> int:
    return a + b


@task(priority=2)
def text(a: int) -> str:
    return str(a)


@task(require_context=True)
def logged(ctx: PymonikContext, word: str) -> str:
    return f"{ctx.task_id} {word}"


@task
def total(values: list[int]) -> int:
    return sum(values)


@task
def many(*values: int) -> int:
    return sum(values)


@task
def optional(a: int, b: str = "", *, c: float = 1.0) -> int:
    return a


@task
async def later(a: int) -> str:
    return str(a)


@task(concurrency=5)
async def soon(a: int) -> str:
    return str(a)


@task(require_context=True, concurrency=5)
async def aware(ctx: PymonikContext, a: int) -> str:
    return f"{ctx.task_id} {a}"


@task
def countdown(n: int) -> Generator[int, None, None]:
    yield from range(n)


class Model:
    @task
    def fit(self, rows: int) -> float:
        return float(rows)

    @task(require_context=True)
    def predict(self, ctx: PymonikContext, rows: int) -> int:
        return rows


# What calls and handles are.
handle = add.invoke(1, 2)
assert_type(handle, ResultHandle[int])
assert_type(add(1, 2), int)
assert_type(handle.get(), int)
assert_type(text.map_invoke([1]), MultiResultHandle[str])
assert_type(text.map_invoke([1]).get(), list[str])
assert_type(text.map_invoke([1])[0].wait(), ResultHandle[str])

# Functions that do not give their value at once.
assert_type(later.invoke(1).get(), str)
assert_type(later.invoke(1).result(timeout=3), str)
assert_type(soon.map_invoke([1, 2]).get(), list[str])
assert_type(aware.invoke(1).get(), str)
assert_type(countdown.invoke(3).get(), list[int])
assert_type(countdown.map_invoke([3]).get(), list[list[int]])
assert_type(countdown(3), Generator[int, None, None])


async def awaits() -> None:
    assert_type(await later(1), str)
    assert_type(await later.invoke(1), str)
    assert_type(await soon.map_invoke([1, 2]), list[str])
    assert_type(await countdown.invoke(3), list[int])
    assert_type(await add.invoke(1, 2), int)


# Several outputs.
assert_type(add.invoke(1, 2)["mean"], ResultHandle[Any])
assert_type(add.map_invoke([(1, 2)])["mean"], MultiResultHandle[Any])

# Handles in the place of values.
add.invoke(handle, 2)
add.invoke(1, handle)
add.invoke(a=handle, b=1)
add.invoke(1, b=handle)
total.invoke([1, 2])
total.invoke([handle, handle])
total.invoke([1, handle])
total.invoke(add.map_invoke([(1, 2)]))
many.invoke(1, handle, 3)
optional.invoke(handle, c=2.0)
optional.invoke(1, "x", c=1)

# Options.
add.invoke(1, 2, pmk_priority=3, pmk_options={"a": "b"})
add.invoke(handle, 2, pmk_max_duration=2.5, delegate=True)
add.map_invoke([(1, 2)], chunk_size=5, pmk_max_retries=1)

# Items.
text.map_invoke(range(3))
text.map_invoke([(1,), (2,)])
text.map_invoke([handle])
text.map_invoke([{"a": 1}])
add.map_invoke([(1, 2), (handle, 2)])
add.map_invoke(zip([1], [2], strict=True))
add.map_invoke([{"a": 1, "b": 2}])
add.map_invoke([1, 2], b=3)
add.map_invoke((n, n) for n in range(3))

# The context is no parameter of the task.
assert_type(logged.invoke("x"), ResultHandle[str])
assert_type(logged("x"), str)
assert_type(Model().fit.invoke(1), ResultHandle[float])
assert_type(Model().predict.invoke(1), ResultHandle[int])


def with_a_client(client: Pymonik, pool: Executor) -> None:
    assert_type(client.put(3), ResultHandle[int])
    assert_type(client.put_many(["a", "b"]), MultiResultHandle[str])
    add.invoke(client.put(3), 4, pymonik=client)
    future: Future[int] = handle.future()
    other: Future[int] = pool.submit(pow, 2, 3)
    assert_type(list(pool.map(str, [1, 2])), list[str])
    future.add_done_callback(lambda _: other.cancel())


# Options as keywords, and those of tasks.
@task(max_retries=2, retry_on=OSError, retry_backoff=1.5, memory="2G", environment=["numpy"])
def loads(path: Path) -> Outputs:
    return Outputs(mean=get_context().setup, full=2)


@task(retry_on=(OSError, ValueError), max_duration=timedelta(hours=1), setup=dict, cache=True)
def labelled(label: float, seed: list[str], a: int = 0) -> int:
    return a


@task(outputs="*.txt", label="meshes")
def meshed(mesh: File) -> File:
    return mesh


add.invoke(1, 2, priority=3, max_retries=0, max_duration=3)
add.invoke(handle, 2, label="x", memory="2G", seed=1, cache=True)
add.invoke(1, 2, pmk_label="x", pmk_memory="2G", pmk_seed=3, pmk_cache=True)
add.map_invoke([(1, 2)], seed=42, label="x", priority=3, max_queued=100)
text.map_invoke(iter([1, 2]), chunk_size="auto", max_duration=timedelta(seconds=3))
meshed.map_invoke([File("a")], save_to="batch/{i}", resume=True)
# The parameters of the function come first.
labelled.invoke(0.5, ["x"], a=handle)
labelled.invoke(label=handle, seed=["x"], pmk_label="x")
labelled.map_invoke([0.5], seed=["x"])

solver = command(["solver", "{mesh}"], outputs="*.vtk")
assert_type(solver.invoke(mesh=File("a")).get().stdout, str)
solver.map_invoke([{"mesh": "a"}])


def of_events(client: Pymonik) -> None:
    def notify(event: TaskFailed) -> None:
        client.put(str(event.error))

    client.on(TaskFailed, notify)
    client.on(TaskEvent, lambda event: event.name)
    client.tasks("failed").where(function="x").order_by("started").cancel()


async def gathered() -> None:
    async with Pymonik():
        assert_type(await asyncio.gather(*[add.invoke(n, n) for n in range(3)]), list[int])
        async for one in add.map_invoke([(1, 2)]).as_completed():
            assert_type(await one, int)


def of_many(handles: MultiResultHandle[int]) -> None:
    assert_type(handles.get(return_exceptions=True), list[int | BaseException])
    assert_type(handles[0].outcome(), Outcome[int])
    assert_type(handles[0:2], MultiResultHandle[int])
    handles.rerun(handles.failed, with_=add)
    for one in as_completed(handles):
        assert_type(one.get(), int)
