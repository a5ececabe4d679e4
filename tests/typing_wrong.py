"""Wrong calls, each marked with the type checkers that say so. Checked, not run."""

from pymonik import Pymonik, PymonikContext, task


@task
def add(a: int, b: int) -> int:
    return a + b


@task
def text(a: int) -> str:
    return str(a)


@task(require_context=True)
def logged(ctx: PymonikContext, word: str) -> str:
    return word


@task
async def later(a: int) -> str:
    return str(a)


add("x", 2)  # mypy pyright
add(1)  # mypy pyright
text(1, 2)  # mypy pyright
logged(1)  # mypy pyright
add.invoke("x", 2)  # pyright
add.invoke(1, "x")  # pyright
add.invoke(1, 2, 3)  # pyright
logged.invoke(3)  # pyright
add.invoke(1, 2, pmk_priority="high")  # mypy pyright
add.invoke(1, 2, pmk_options="high")  # mypy pyright
add.invoke(1, 2, delegate="yes")  # mypy pyright
text.map_invoke(3)  # mypy pyright
text.map_invoke(["x"])  # pyright
add.map_invoke([(1, 2)], chunk_size="big")  # mypy pyright
add.map_invoke([(1, 2)], pmk_max_retries="many")  # mypy pyright
task(3)  # mypy pyright
task(priority="high")(add.func)  # mypy pyright
task(retries=3)(add.func)  # mypy pyright
add.invoke(1, 2).get().upper()  # mypy pyright
text.map_invoke([1]).get().upper()  # mypy pyright
Pymonik(connect_timeout="long")  # mypy pyright
Pymonik().put(3).get().upper()  # mypy pyright
later.invoke("x")  # pyright
later.invoke(1).get().real  # mypy pyright
task(concurrency="many")(later.func)  # mypy pyright
add.invoke(1, 2)[0]  # mypy pyright
