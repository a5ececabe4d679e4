"""An async task runs to its end, and a generator under @task gives the list of what it yields."""

import asyncio

from pymonik import Pymonik, SerializationError, Task, task


@task
async def later(x):
    await asyncio.sleep(0.01)
    return x + 1


@task
def numbers(n):
    yield from range(n)


@task
async def later_numbers(n):
    for number in range(n):
        await asyncio.sleep(0)
        yield number


class Server:
    @task
    async def answer(self, x):
        return x * 2


def plain(n):
    yield from range(n)


if __name__ == "__main__":
    with Pymonik():
        assert later.invoke(1).result(60) == 2
        assert later.map_invoke([1, 2, 3], chunk_size=3).result(60) == [2, 3, 4]
        assert numbers.invoke(3).result(60) == [0, 1, 2]
        assert later_numbers.invoke(3).result(60) == [0, 1, 2]
        assert Server().answer.invoke(4).result(60) == 8
        error = Task(plain).invoke(3).exception(60)
        assert isinstance(error, SerializationError) and "generator" in str(error), error
