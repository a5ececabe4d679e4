"""What programs rely on that use the executors of `concurrent.futures`."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import os
import subprocess
import sys
import textwrap
import threading
import time
import traceback
import weakref
from concurrent.futures import BrokenExecutor, CancelledError
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pymonik import Executor, LocalCluster, Pymonik, task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WAIT_S = 30


@pytest.fixture
def pool(cluster: LocalCluster) -> Iterator[Executor]:
    with Executor(cluster) as pool:
        yield pool


def multiply(x: int, y: int) -> int:
    return x * y


def arguments(*args: object, **kwargs: object) -> object:
    return args, kwargs


def wait_for(path: str) -> str:
    """Ends once the file is there, for tests that need a call which is under way."""
    while not Path(path).exists():
        time.sleep(0.005)
    return path


class Thing:
    def method(self) -> None:
        pass


def _teller(gone: threading.Event) -> Callable[[object], None]:
    return lambda _: gone.set()


def make_thing(_: int) -> Thing:
    return Thing()


def fail(text: str) -> None:
    raise LookupError(text)  # the line that the traceback shows


def fail_with_text(text: str) -> str:
    raise LookupError(text)


class FalsyError(Exception):
    def __len__(self) -> int:
        return 0


def fail_falsy() -> None:
    raise FalsyError


# -- submit --------------------------------------------------------------------------------------


def test_a_call_gives_its_value(pool: Executor):
    assert pool.submit(pow, 2, 8).result(WAIT_S) == 256
    assert pool.submit(multiply, 2, y=8).result(WAIT_S) == 16


def test_a_submitted_function_may_have_parameters_of_any_name(pool: Executor):
    named = {"self": 2, "fn": 3, "pymonik": 4, "delegate": True, "pmk_priority": 5}
    assert pool.submit(arguments, 1, **named).result(WAIT_S) == ((1,), named)


def test_submit_takes_the_function_by_position(pool: Executor):
    with pytest.raises(TypeError):
        pool.submit(fn=multiply, x=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        pool.submit()  # type: ignore[call-arg]


def test_arguments_that_do_not_fit_are_an_error_of_the_future(pool: Executor):
    assert isinstance(pool.submit(multiply, 1).exception(WAIT_S), TypeError)  # type: ignore[call-arg]


def test_what_cannot_be_pickled_fails_alone(pool: Executor):
    lock = threading.Lock()
    wrong = pool.submit(arguments, lock)
    futures = [pool.submit(arguments, n) for n in range(3)]
    assert wrong.exception(WAIT_S) is not None
    assert [f.result(WAIT_S) for f in futures] == [((n,), {}) for n in range(3)]


def test_one_item_that_cannot_be_pickled_costs_no_other(pool: Executor):
    values = pool.map(arguments, [1, threading.Lock(), 3])
    assert next(values) == ((1,), {})
    with pytest.raises(Exception, match="lock"):
        next(values)


def test_lambdas_partials_methods_and_tasks_can_be_submitted(pool: Executor):
    @task
    def add(a: int, b: int) -> int:
        return a + b

    factor = 3
    assert pool.submit(lambda x: x * factor, 2).result(WAIT_S) == 6
    assert pool.submit(str.upper, "a").result(WAIT_S) == "A"
    assert pool.submit([3, 1, 2].index, 2).result(WAIT_S) == 2
    assert pool.submit(add, 1, 2).result(WAIT_S) == 3


def test_a_closure_is_sent_with_the_values_of_its_call(pool: Executor):
    factor = 1

    def times(x: int) -> int:
        return x * factor

    first = pool.submit(times, 5).result(WAIT_S)
    factor = 2
    assert (first, pool.submit(times, 5).result(WAIT_S)) == (5, 10)


def test_a_handle_is_an_argument(cluster: LocalCluster):
    @task
    def three() -> int:
        return 3

    with Pymonik(cluster) as client, Executor(client) as pool:
        assert pool.submit(arguments, three.invoke(), 2).result(WAIT_S) == ((3, 2), {})


def test_threads_submit_at_once(pool: Executor):
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        values = list(threads.map(lambda n: pool.submit(multiply, n, n).result(WAIT_S), range(40)))
    assert values == [n * n for n in range(40)]


# -- failures ------------------------------------------------------------------------------------


def test_an_exception_has_its_class_and_the_line_that_raised_it(pool: Executor):
    error = pool.submit(fail, "nothing there").exception(WAIT_S)
    assert isinstance(error, LookupError)
    assert error.args == ("nothing there",)
    shown = "".join(traceback.format_exception(error))
    assert "the line that the traceback shows" in shown


def test_an_exception_that_is_falsy_is_raised(pool: Executor):
    with pytest.raises(FalsyError):
        pool.submit(fail_falsy).result(WAIT_S)
    with pytest.raises(FalsyError):
        list(pool.map(lambda _: fail_falsy(), [1]))


# -- map -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunksize", [1, 3, 6, 50])
def test_map_gives_values_in_order(pool: Executor, chunksize: int):
    values = pool.map(pow, range(40), range(40), chunksize=chunksize)
    assert list(values) == list(map(pow, range(40), range(40)))


def test_map_stops_with_the_shortest_iterable(pool: Executor):
    assert list(pool.map(multiply, range(10), range(3))) == [0, 1, 4]
    assert list(pool.map(multiply, [], [])) == []


def test_map_gives_values_up_to_the_first_failure(pool: Executor):
    values = pool.map(divmod, [1, 1, 1, 1], [2, 3, 0, 5])
    assert [next(values), next(values)] == [(0, 1), (0, 1)]
    with pytest.raises(ZeroDivisionError):
        next(values)


def test_map_ends_with_its_time(pool: Executor, tmp_path: Path):
    (tmp_path / "a").touch()
    paths = [str(tmp_path / name) for name in "ab"]
    seen = []
    with pytest.raises(concurrent.futures.TimeoutError):  # noqa: PT012 - the first value comes
        for value in pool.map(wait_for, paths, timeout=2):
            seen.append(value)  # noqa: PERF402
    (tmp_path / "b").touch()
    assert seen == paths[:1]


def test_map_refuses_chunks_and_buffers_of_nothing(pool: Executor):
    with pytest.raises(ValueError, match="chunksize"):
        pool.map(pow, [1], [1], chunksize=-1)
    with pytest.raises(ValueError, match="buffersize"):
        pool.map(pow, [1], [1], buffersize=0)


def test_map_reads_all_items_at_once_without_a_buffer(pool: Executor):
    items = iter(range(100))
    values = pool.map(abs, items)
    assert next(items, None) is None
    assert list(values) == list(range(100))


def test_map_reads_no_more_than_its_buffer_ahead(pool: Executor):
    items = iter(range(100))
    values = pool.map(abs, items, buffersize=3)
    assert next(values) == 0
    assert next(items) == 4
    assert list(values) == [1, 2, 3, *range(5, 100)]


def test_map_keeps_no_value_that_it_gave(pool: Executor):
    for thing in pool.map(make_thing, range(10)):
        gone = threading.Event()
        watch = weakref.ref(thing, _teller(gone))
        del thing
        gc.collect()
        assert gone.wait(WAIT_S)
        assert watch() is None


def test_an_argument_is_dropped_once_it_was_sent(pool: Executor):
    thing = Thing()
    gone = threading.Event()
    watch = weakref.ref(thing, lambda _: gone.set())
    pool.submit(thing.method).result(WAIT_S)
    del thing
    until = time.monotonic() + WAIT_S
    while not gone.wait(0.05) and time.monotonic() < until:
        gc.collect()  # calls and what is shown of them refer to each other
    assert watch() is None


# -- futures -------------------------------------------------------------------------------------


def test_wait_and_as_completed_take_the_futures(pool: Executor, tmp_path: Path):
    slow = pool.submit(wait_for, str(tmp_path / "go"))
    fast = pool.submit(str, 2)
    done, pending = concurrent.futures.wait(
        [slow, fast], WAIT_S, concurrent.futures.FIRST_COMPLETED
    )
    assert (done, pending) == ({fast}, {slow})
    (tmp_path / "go").touch()
    assert set(concurrent.futures.as_completed([slow, fast], WAIT_S)) == {slow, fast}


def test_wait_returns_at_the_first_exception(pool: Executor, tmp_path: Path):
    slow = pool.submit(wait_for, str(tmp_path / "go"))
    wrong = pool.submit(fail_with_text, "now")
    done, _ = concurrent.futures.wait([slow, wrong], WAIT_S, concurrent.futures.FIRST_EXCEPTION)
    (tmp_path / "go").touch()
    assert done == {wrong}


def test_a_future_says_where_its_call_is(pool: Executor, tmp_path: Path):
    future = pool.submit(wait_for, str(tmp_path / "go"))
    assert future.running()
    assert not future.done()
    (tmp_path / "go").touch()
    assert future.result(WAIT_S)
    assert not future.running()
    assert future.done()
    assert not future.cancel()
    assert not future.cancelled()


def test_result_has_a_time_limit(pool: Executor, tmp_path: Path):
    future = pool.submit(wait_for, str(tmp_path / "go"))
    with pytest.raises(concurrent.futures.TimeoutError):
        future.result(timeout=0)
    with pytest.raises(concurrent.futures.TimeoutError):
        future.exception(timeout=0.01)
    (tmp_path / "go").touch()
    assert future.exception(WAIT_S) is None


def test_a_callback_gets_the_future_and_one_that_raises_harms_no_other(
    pool: Executor, caplog: pytest.LogCaptureFixture
):
    told = threading.Event()
    seen: list[object] = []

    def tell(future: object) -> None:
        seen.append(future)
        told.set()

    future = pool.submit(multiply, 2, 3)
    future.add_done_callback(lambda _: fail("in a callback"))
    future.add_done_callback(tell)
    assert told.wait(WAIT_S)
    assert seen == [future]
    assert "exception calling callback" in caplog.text


def test_a_callback_may_submit(pool: Executor):
    told = threading.Event()
    later: list[concurrent.futures.Future[int]] = []

    def go_on(_: object) -> None:
        later.append(pool.submit(multiply, 4, 5))
        told.set()

    pool.submit(multiply, 2, 3).add_done_callback(go_on)
    assert told.wait(WAIT_S)
    assert later[0].result(WAIT_S) == 20


def test_a_running_call_can_be_cancelled(pool: Executor, tmp_path: Path):
    future = pool.submit(wait_for, str(tmp_path / "never"))
    assert future.cancel()
    assert future.cancelled()
    with pytest.raises(CancelledError):
        future.result(WAIT_S)
    assert concurrent.futures.wait([future], WAIT_S).done == {future}
    assert future.cancel()  # once more says the same


def test_a_call_that_waits_can_be_cancelled(pool: Executor, tmp_path: Path):
    path = str(tmp_path / "go")
    futures = [pool.submit(wait_for, path) for _ in range(50)]
    assert not futures[-1].running()
    assert futures[-1].cancel()
    Path(path).touch()
    assert [f.result(WAIT_S) for f in futures[:-1]] == [path] * 49


def test_an_event_loop_awaits_and_cancels(pool: Executor, tmp_path: Path):
    async def main() -> tuple[int, bool]:
        loop = asyncio.get_running_loop()
        value = await loop.run_in_executor(pool, multiply, 7, 7)
        slow = loop.run_in_executor(pool, wait_for, str(tmp_path / "never"))
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(slow, 0.05)
        return value, slow.cancelled()

    assert asyncio.run(main()) == (49, True)


def test_a_handle_gives_a_future(cluster: LocalCluster):
    multiplied = task(multiply)
    failing = task(fail)
    with Pymonik(cluster):
        futures = [multiplied.invoke(n, n).future() for n in range(5)]
        assert concurrent.futures.wait(futures, WAIT_S).done == set(futures)
        assert [f.result() for f in futures] == [n * n for n in range(5)]
        assert isinstance(failing.invoke("x").future().exception(WAIT_S), LookupError)


def test_cancelling_the_future_of_a_handle_cancels_the_call(cluster: LocalCluster, tmp_path: Path):
    with Pymonik(cluster):
        handle = task(wait_for).invoke(str(tmp_path / "never"))
        future = handle.future()
        assert future.cancel()
        assert handle.exception(WAIT_S) is not None
        assert concurrent.futures.wait([future], WAIT_S).done == {future}


# -- the end -------------------------------------------------------------------------------------


def test_nothing_is_taken_after_shutdown(pool: Executor):
    pool.shutdown()
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        pool.submit(pow, 2, 5)
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        pool.map(pow, [2], [5])
    pool.shutdown()  # once more does nothing


def test_shutdown_waits_for_all_calls(pool: Executor):
    futures = [pool.submit(time.sleep, 0.01) for _ in range(50)]
    pool.shutdown()
    assert all(f.done() for f in futures)


def test_shutdown_cancels_what_does_not_run_and_lets_the_others_end(pool: Executor):
    futures = [pool.submit(time.sleep, 0.1) for _ in range(50)]
    pool.shutdown(cancel_futures=True)
    assert sum(f.cancelled() for f in futures) > 20
    ended = [f for f in futures if not f.cancelled()]
    assert ended
    assert all(f.done() and f.exception() is None for f in ended)


def test_shutdown_without_waiting_ends_the_calls_all_the_same(cluster: LocalCluster):
    pool = Executor(cluster)
    values = pool.map(abs, range(-5, 5))
    pool.shutdown(wait=False)
    assert list(values) == [abs(n) for n in range(-5, 5)]


def test_an_executor_that_is_dropped_ends_its_calls(cluster: LocalCluster):
    pool = Executor(cluster)
    values = pool.map(abs, range(-5, 5))
    watch = weakref.ref(pool)
    del pool
    gc.collect()
    assert watch() is None
    assert list(values) == [abs(n) for n in range(-5, 5)]


def test_shutdown_after_a_call_that_was_cancelled_at_once(pool: Executor):
    pool.submit(int).result(WAIT_S)
    pool.submit(int).cancel()
    pool.shutdown()


def test_the_client_that_was_given_stays_open(cluster: LocalCluster):
    with Pymonik(cluster) as client:
        with Executor(client) as pool:
            assert pool.submit(multiply, 2, 3).result(WAIT_S) == 6
        assert task(multiply).invoke(2, 4).get() == 8


def test_an_executor_may_have_workers_of_its_own():
    with Executor(1) as pool:
        assert pool._max_workers == 1
        processes = set(pool.map(lambda _: os.getpid(), range(20)))
    assert len(processes) == 1


@pytest.mark.parametrize("workers", [0, -1])
def test_an_executor_needs_workers(workers: int):
    with pytest.raises(ValueError, match="max_workers must be greater than 0"):
        Executor(max_workers=workers)


def _run(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    file = folder / "program.py"
    file.write_text(textwrap.dedent(program))
    return subprocess.run(
        [sys.executable, str(file)], cwd=folder, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("end", ["", "pool.shutdown(wait=False)", "del pool"])
def test_the_interpreter_waits_for_calls(tmp_path: Path, end: str):
    done = _run(
        f"""
        import pathlib, time
        from pymonik import Executor

        def write(path):
            time.sleep(0.3)
            pathlib.Path(path).write_text("apple")

        if __name__ == "__main__":
            pool = Executor(3)
            pool.submit(write, "out.txt")
            {end}
        """,
        tmp_path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out.txt").read_text() == "apple"


@pytest.mark.parametrize("before", ["pool.submit(id, 42).result()", "pass"])
def test_nothing_is_taken_while_the_interpreter_ends(tmp_path: Path, before: str):
    done = _run(
        f"""
        import atexit

        @atexit.register
        def run_last():
            try:
                pool.submit(id, None)
            except RuntimeError as error:
                print(error)

        from pymonik import Executor

        if __name__ == "__main__":
            pool = Executor()
            {before}
        """,
        tmp_path,
    )
    assert done.stdout == "cannot schedule new futures after interpreter shutdown\n"


# -- the initializer -----------------------------------------------------------------------------

STATUS = "not set"


def set_status(status: str) -> None:
    global STATUS
    STATUS = status


def status() -> str:
    return STATUS


def count_in(path: str) -> None:
    with Path(path).open("a") as file:
        file.write(f"{os.getpid()}\n")


def test_the_initializer_runs_once_in_each_process(cluster: LocalCluster, tmp_path: Path):
    path = str(tmp_path / "starts")
    with Executor(cluster, initializer=count_in, initargs=(path,)) as pool:
        processes = set(pool.map(lambda _: os.getpid(), range(200)))
    starts = Path(path).read_text().split()
    assert len(starts) == len(set(starts))
    assert {int(pid) for pid in starts} == processes


def test_what_the_initializer_set_is_there(cluster: LocalCluster):
    with Executor(cluster, initializer=set_status, initargs=("set",)) as pool:
        assert [pool.submit(status).result(WAIT_S) for _ in range(4)] == ["set"] * 4


def test_an_initializer_that_fails_breaks_the_executor(
    cluster: LocalCluster, caplog: pytest.LogCaptureFixture
):
    with Executor(cluster, initializer=fail, initargs=("in the initializer",)) as pool:
        future = pool.submit(status)
        with pytest.raises(BrokenExecutor, match="in the initializer"):
            future.result(WAIT_S)
        with pytest.raises(BrokenExecutor):
            pool.submit(status)
    assert "in the initializer" in caplog.text


def test_an_initializer_is_a_callable():
    with pytest.raises(TypeError, match="initializer must be a callable"):
        Executor(initializer=3)  # type: ignore[arg-type]
