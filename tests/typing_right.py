"""Right calls: no type checker may say anything. Checked by mypy and pyright, not run."""

from collections.abc import Generator
from concurrent.futures import Future
from typing import Any

from typing_extensions import assert_type

from pymonik import Executor, MultiResultHandle, Pymonik, PymonikContext, ResultHandle, task


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
