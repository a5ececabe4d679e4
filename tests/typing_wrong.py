"""Wrong calls, each marked with the type checkers that say so. Checked, not run."""

from pymonik import (
    Executor,
    LocalCluster,
    Pymonik,
    PymonikContext,
    TaskFailed,
    as_completed,
    command,
    task,
)

client = Pymonik()


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
add.invoke(1, 2, priority="high")  # mypy pyright
add.invoke(1, 2, max_retries="many")  # mypy pyright
add.invoke(1, 2, max_duration="1h")  # mypy pyright
add.invoke(1, 2, pmk_seed="x")  # mypy pyright
add.invoke(1, 2, pmk_memory=2.5)  # mypy pyright
add.invoke(1, 2, pmk_label=3)  # mypy pyright
add.invoke(1, 2, pmk_cache="x")  # mypy pyright
add.map_invoke([(1, 2)], seed="x")  # mypy pyright
add.map_invoke([(1, 2)], max_queued="x")  # mypy pyright
add.map_invoke([(1, 2)], priority="high")  # mypy pyright
add.map_invoke([(1, 2)], pmk_label=4)  # mypy pyright
task(retry_on="OSError")(add.func)  # mypy pyright
task(retry_backoff="x")(add.func)  # mypy pyright
task(setup=3)(add.func)  # mypy pyright
task(outputs=3)(add.func)  # mypy pyright
task(memory=[])(add.func)  # mypy pyright
task(max_duration="1h")(add.func)  # mypy pyright
add.map_invoke([(1, 2)]).get(return_exceptions=True)[0].real  # mypy pyright
add.invoke(1, 2).get(timeout="x")  # mypy pyright
add.invoke(1, 2).outcome().value.upper()  # mypy pyright
as_completed(3)  # mypy pyright
command(3)  # mypy pyright
client.on(TaskFailed, 3)  # mypy pyright
client.on(int, print)  # mypy pyright
client.put_many([1])[0].get().upper()  # mypy pyright
Executor(4).map(3, [1])  # mypy pyright
LocalCluster(workers="two")  # mypy pyright
Pymonik(nothing=3)  # mypy pyright
for one in as_completed(text.map_invoke([1])):
    one.get().real  # mypy pyright
