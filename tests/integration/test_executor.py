"""Real executors: what ends a call, and that the next call runs all the same."""

from __future__ import annotations

import ctypes
import itertools
import os
import select
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from pymonik import PymonikContext, get_context, task
from pymonik.code import codec, opened_result, packed_function
from pymonik.code.exceptions import exception_of
from pymonik.code.references import Referable
from pymonik.errors import DependencyFailedError, TaskFailedError, UsageError, WorkerLostError
from pymonik.executor.endings import Cancelled, Ending, Failed, Lost, Retry, TimedOut
from pymonik.executor.frames import Report, Run, Subtask
from pymonik.executor.packed_options import packed
from pymonik.executor.pool import ExecutorPool
from pymonik.executor.submission import bind
from pymonik.options import TaskOptions
from pymonik.session.current import current_session
from pymonik.session.protocol import Submission
from pymonik.session.result import ResultState
from pymonik.tasks.task import Task
from pymonik.wire import containers
from pymonik.wire.call import CallMeta, FunctionRef, PayloadMeta, ResultRef
from pymonik.wire.environment import Environment
from pymonik.wire.failure import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OPTIONS = TaskOptions(partition_id="p", priority=2, max_duration=timedelta(seconds=30))


class Handle(Referable):
    def __init__(self, state: ResultState) -> None:
        self._state = state


def submit(func: Any, *args: object, delegate: bool = False) -> Handle:
    function = packed_function.pack_function(Task(func), func.__name__)
    calls = [codec.pack_call(args, {})]
    return Handle(current_session().submit(Submission(function, calls, delegate=delegate))[0])


class Bench:
    """Writes calls into files, runs them, and follows subtasks like a tiny control plane."""

    def __init__(
        self, folder: Path, pool: ExecutorPool, printed: list[tuple[str, str, str]]
    ) -> None:
        self.folder = folder
        self.pool = pool
        self.printed = printed
        self.numbers = itertools.count()
        self.files: dict[str, str] = {}
        self.needs: dict[str, set[str]] = {}  # of the tasks that wait

    def store(self, segments: Any) -> str:
        result_id = f"r{next(self.numbers)}"
        path = self.folder / result_id
        path.write_bytes(b"".join(segments))
        self.files[result_id] = str(path)
        return result_id

    def call(
        self, func: Any, *args: Any, retry_on: Any = (), task_id: str = "t", **meta: Any
    ) -> Run:
        return self.calls(Task(func, retry_on=retry_on), [args], task_id=task_id, **meta)

    def calls(self, function: Any, calls: list[Any], *, task_id: str = "t", **meta: Any) -> Run:
        packed = packed_function.pack_function(function, function.name)
        calls_packed = [codec.pack_call(args, {}) for args in calls]
        head = PayloadMeta(
            function=FunctionRef(packed.content_id, self.store([packed.container]), packed.name),
            calls=tuple(
                CallMeta(
                    len(one.blobs),
                    tuple(
                        ResultRef(ref._state.result_id or "", ref._state.item) for ref in one.refs
                    ),
                )
                for one in calls_packed
            ),
            **meta,
        )
        blobs = [blob for one in calls_packed for blob in one.blobs]
        return self.task(
            self.store(containers.join(head, blobs)), f"out-{task_id}", task_id=task_id
        )

    def task(self, payload_id: str, output_id: str, *, task_id: str = "t") -> Run:
        return Run(
            task_id=task_id,
            session_id="s",
            attempt=1,
            files=dict(self.files),
            payload_id=payload_id,
            output_id=output_id,
            packed_options=packed(
                TaskOptions(partition_id="p", priority=2, max_duration=timedelta(seconds=30))
            ),
            folder=str(self.folder),
        )

    def end(self, run: Run, time_limit_s: float | None = 30) -> Ending:
        return self.pool.run(run, time_limit_s=time_limit_s)

    def value(self, run: Run) -> Any:
        """Run it and its subtasks; give the value of its output."""
        waiting = [run]
        while waiting:
            for waiting_task in waiting:
                if self.needs.get(waiting_task.task_id, set()) <= set(self.files):
                    waiting.remove(waiting_task)
                    waiting += self.follow(waiting_task)
                    break
            else:
                pytest.fail("subtasks wait for each other")
        return opened_result.OpenedResult(Path(self.files[run.output_id]).read_bytes()).value()

    def follow(self, task: Run) -> list[Run]:
        """Run one task, keep what it created, and give its subtasks."""
        ending = self.end(
            Run(
                task_id=task.task_id,
                session_id="s",
                files=task.files or dict(self.files),
                packed_options=task.packed_options,
                payload_id=task.payload_id,
                output_id=task.output_id,
                folder=task.folder,
            )
        )
        assert isinstance(ending, Report), getattr(ending, "error", ending)
        report = bind(ending, lambda stand_in: f"id{next(self.numbers)}")
        if report.output is not None:
            self.keep(task.output_id, report.output)
        if report.output_path is not None:
            self.files[task.output_id] = report.output_path
        for created in report.created:
            if created.data is not None:
                self.keep(created.stand_in, created.data)
            elif created.path is not None:
                self.files[created.stand_in] = created.path
        return [
            self.waiting(f"{task.task_id}.{i}", subtask, task.folder)
            for i, subtask in enumerate(report.subtasks)
        ]

    def waiting(self, task_id: str, subtask: Subtask, folder: str) -> Run:
        self.needs[task_id] = set(subtask.dependencies)
        return Run(
            task_id=task_id,
            session_id="s",
            files={},
            payload_id=subtask.payload,
            output_id=subtask.output,
            folder=folder,
            packed_options=packed(subtask.options),
        )

    def keep(self, result_id: str, data: bytes) -> None:
        path = self.folder / f"kept-{next(self.numbers)}"
        path.write_bytes(data)
        self.files[result_id] = str(path)


@pytest.fixture
def make_bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    pools = []

    def make(**keywords: Any) -> Bench:
        printed: list[tuple[str, str, str]] = []
        pool = ExecutorPool(
            **{
                "folder": tmp_path,
                "size": 1,
                "on_output": lambda run, parts: printed.extend(
                    (run.task_id, part.stream, part.text) for part in parts
                ),
                **keywords,
            }
        )
        pool.start()
        pools.append(pool)
        return Bench(tmp_path, pool, printed)

    yield make
    for pool in pools:
        pool.close()


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    return make_bench()


def add(a: Any, b: Any) -> Any:
    return a + b


def failure(ending: Ending) -> BaseException:
    assert isinstance(ending, Failed | Lost | Retry | TimedOut), ending
    return exception_of(ending.failure)


def test_a_call_gives_its_value_and_no_grpc_is_loaded(bench: Bench) -> None:
    def loaded() -> list[str]:
        return [name for name in ("grpc", "armonik", "psutil", "uv") if name in sys.modules]

    assert bench.value(bench.call(add, 1, 2)) == 3
    assert bench.value(bench.call(loaded)) == []


def _divide() -> None:
    print("about to divide")  # noqa: T201
    raise ZeroDivisionError("by nothing")


def _unpicklable_error() -> None:
    class LocalError(Exception):
        def __init__(self) -> None:
            super().__init__("text of the error")
            self.lock = threading.Lock()

    raise LocalError


def test_an_exception_arrives_as_it_is_with_the_traceback_of_the_task(bench: Bench) -> None:
    error = failure(bench.end(bench.call(_divide)))
    assert isinstance(error, ZeroDivisionError)
    assert isinstance(error.__cause__, TaskFailedError)
    assert "in _divide" in error.__cause__.remote_traceback
    assert "executor/run.py" not in error.__cause__.remote_traceback
    assert bench.value(bench.call(add, 1, 2)) == 3


def test_of_an_exception_that_does_not_pickle_all_comes_that_does(bench: Bench) -> None:
    error: Any = failure(bench.end(bench.call(_unpicklable_error)))
    assert type(error).__name__ == "LocalError"
    assert str(error) == "text of the error"
    assert "lock" in error.lock  # its repr


def test_a_failure_tells_which_executor_it_was(bench: Bench) -> None:
    numbers = []
    for func in (_divide, _exit, _divide):
        ending = bench.end(bench.call(func))
        if isinstance(ending, Failed) and ending.failure.origin is not None:
            numbers.append(ending.failure.origin.executor)
    first, second = numbers
    assert second == first + 1


def test_sys_exit_fails_the_call_only(bench: Bench) -> None:
    error = failure(bench.end(bench.call(sys.exit, 4)))
    assert isinstance(error, TaskFailedError)
    assert "sys.exit(4)" in str(error)
    assert bench.value(bench.call(add, 1, 2)) == 3


def _exit() -> None:
    print("last words", end="", flush=True)  # noqa: T201
    os._exit(7)


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _segfault() -> None:
    ctypes.string_at(0)


@pytest.mark.parametrize(
    ("func", "words"),
    [(_exit, "exit code 7"), (_exit, "last words"), (_kill, "SIGKILL"), (_segfault, "SIGSEGV")],
)
def test_a_dead_executor_says_how_and_is_replaced(bench: Bench, func: Any, words: str) -> None:
    ending = bench.end(bench.call(func))
    assert isinstance(ending, Lost)
    assert words in ending.failure.summary
    assert isinstance(failure(ending), WorkerLostError)
    assert bench.value(bench.call(add, 1, 2)) == 3


def test_a_call_past_its_time_is_killed(bench: Bench) -> None:
    ending = bench.end(bench.call(time.sleep, 1000), time_limit_s=0.2)
    assert isinstance(ending, TimedOut)
    assert bench.value(bench.call(add, 1, 2)) == 3


def test_a_cancelled_call_ends_and_unknown_ones_are_ignored(make_bench: Any) -> None:
    started = threading.Event()

    def wait_for_ever() -> None:
        print("started", flush=True)  # noqa: T201
        time.sleep(1000)

    bench = make_bench(on_output=lambda *_: started.set())
    endings: list[Ending] = []
    run = bench.call(wait_for_ever)
    thread = threading.Thread(target=lambda: endings.append(bench.end(run, None)))
    thread.start()
    assert started.wait(30)
    bench.pool.cancel("another")
    bench.pool.cancel("t")
    thread.join(30)
    assert endings == [Cancelled()]
    assert bench.value(bench.call(add, 1, 2)) == 3


def test_closing_the_pool_ends_a_call(bench: Bench) -> None:
    endings: list[Ending] = []
    run = bench.call(time.sleep, 1000)
    thread = threading.Thread(target=lambda: endings.append(bench.end(run, None)))
    thread.start()
    bench.pool.close()
    thread.join(30)
    assert endings == [Cancelled()]


def _allocate_at_once(size: int) -> int:
    return len(bytearray(size))


def _allocate_slowly(size: int) -> None:
    kept: list[bytes] = []
    while sum(len(one) for one in kept) < size:
        kept.append(b"x" * (1 << 20))
    time.sleep(60)


def test_a_memory_limit_refuses_and_kills(make_bench: Any) -> None:
    bench = make_bench(memory_limit=200 << 20)
    ending = bench.end(bench.call(_allocate_at_once, 1 << 30))
    assert isinstance(ending, Failed)
    assert "200 MiB" in ending.failure.summary
    ending = bench.end(bench.call(_allocate_slowly, 220 << 20))
    assert isinstance(ending, Failed)
    assert "200 MiB" in ending.failure.summary
    assert bench.value(bench.call(add, 1, 2)) == 3


def _unpicklable() -> dict[str, list[object]]:
    return {"a": [1, threading.Lock()]}


def test_a_result_that_does_not_pickle_is_named(bench: Bench) -> None:
    assert "result['a'][1]" in str(failure(bench.end(bench.call(_unpicklable))))


def test_a_large_result_is_a_file(bench: Bench) -> None:
    ending = bench.end(bench.call(bytes, 1 << 20))
    assert isinstance(ending, Report)
    assert ending.output is None
    assert ending.output_path is not None
    assert bench.value(bench.call(bytes, 1 << 20)) == bytes(1 << 20)


def test_what_is_printed_comes_with_its_task(bench: Bench) -> None:
    bench.end(bench.call(print, "hello", task_id="t1"))
    bench.end(bench.call(print, "again", task_id="t2"))
    texts = {"t1": "", "t2": ""}
    for task_id, _, text in bench.printed:  # in pieces, as the system gives them
        texts[task_id] += text
    assert texts == {"t1": "hello\n", "t2": "again\n"}
    assert {stream for _, stream, _ in bench.printed} == {"stdout"}


def test_much_output_blocks_nothing(bench: Bench) -> None:
    bench.end(bench.call(print, "x" * 1_000_000))
    assert sum(len(text) for _, _, text in bench.printed) == 1_000_001


def _variable(name: str) -> str | None:
    return os.environ.get(name)


@pytest.mark.parametrize(("idle_memory", "is_kept"), [(None, True), (1, False)])
def test_idle_executors_stay_within_a_stated_memory(
    make_bench: Any, idle_memory: int | None, is_kept: bool
) -> None:
    bench = make_bench(idle_memory=idle_memory)
    other = Environment(env_variables={"PMK_TEST": "1"})
    first = bench.value(bench.call(os.getpid))
    assert bench.value(bench.call(os.getpid, environment=other)) != first
    assert (bench.value(bench.call(os.getpid)) == first) is is_kept


def test_variables_are_set_for_the_call_only(bench: Bench) -> None:
    environment = Environment(env_variables={"PMK_TEST": "1"})
    assert bench.value(bench.call(_variable, "PMK_TEST", environment=environment)) == "1"
    assert bench.value(bench.call(_variable, "PMK_TEST", task_id="u")) is None


def test_retry_on_asks_for_a_retry(bench: Bench) -> None:
    ending = bench.end(bench.call(_divide, retry_on=(ZeroDivisionError,)))
    assert isinstance(ending, Retry)
    assert isinstance(failure(ending), ZeroDivisionError)


def _delegate(value: int) -> None:
    submit(add, value, 1, delegate=True)


def _return_handle(value: int) -> Handle:
    return submit(add, submit(add, value, 1), 10)


def _return_list(value: int) -> list[Any]:
    return [submit(add, value, i) for i in range(3)] + ["x"]


def _return_put(value: int) -> Handle:
    state = current_session().put([codec.pack(value)], ["v"])[0]
    return submit(add, Handle(state), Handle(state))


def _return_bare_put(value: int) -> Handle:
    return Handle(current_session().put([codec.pack(value)], ["v"])[0])


def _inner_used_twice(value: int) -> Handle:
    first = submit(add, value, 1)
    submit(add, first, 1)
    return first


@pytest.mark.parametrize(
    ("func", "value"),
    [
        (_delegate, 6),
        (_return_handle, 16),
        (_return_list, [5, 6, 7, "x"]),
        (_return_put, 10),
        (_return_bare_put, 5),
        (_inner_used_twice, 6),
    ],
)
def test_subtasks_give_the_value(bench: Bench, func: Any, value: object) -> None:
    assert bench.value(bench.call(func, 5)) == value


def test_subtasks_inherit_options_and_have_their_own_name(bench: Bench) -> None:
    ending = bench.end(bench.call(_delegate, 5))
    assert isinstance(ending, Report)
    options = ending.subtasks[0].options
    assert options.partition_id == "p"
    assert options.options == {"pymonik.function": "add"}
    assert ending.subtasks[0].output == "out-t"
    assert ending.output is None


def _delegate_twice() -> None:
    submit(add, 1, 1, delegate=True)
    submit(add, 1, 2, delegate=True)


def _delegate_and_return() -> int:
    submit(add, 1, 1, delegate=True)
    return 5


def _wait() -> None:
    current_session().wait([submit(add, 1, 1)._state], None)


@pytest.mark.parametrize("func", [_delegate_twice, _delegate_and_return, _wait])
def test_what_a_task_may_not_do_is_explained(bench: Bench, func: Any) -> None:
    assert isinstance(failure(bench.end(bench.call(func))), UsageError)


def _reciprocal(value: float) -> float:
    return 1 / value


def test_an_item_that_fails_does_not_stop_the_others(bench: Bench) -> None:
    run = bench.calls(Task(_reciprocal), [(1,), (0,), (4,)], chunked=True)
    first, failed, last = bench.value(run)
    assert (first, last) == (1, 0.25)
    assert isinstance(failed, Failure)
    assert failed.summary == "ZeroDivisionError: division by zero"


def test_a_failed_item_fails_the_call_that_needs_it(bench: Bench) -> None:
    run = bench.calls(Task(_reciprocal), [(1,), (0,)], chunked=True)
    bench.value(run)
    session: Any = None
    good, bad = (Handle(ResultState(session, "", run.output_id, item)) for item in (0, 1))
    assert bench.value(bench.call(add, good, 1, task_id="u")) == 2
    ending = bench.end(bench.call(add, bad, 1, task_id="v"))
    assert isinstance(failure(ending), DependencyFailedError)


def test_an_item_may_stand_in_the_result_of_a_subtask(bench: Bench) -> None:
    run = bench.calls(Task(_return_handle), [(1,), (2,)], chunked=True)
    report = bench.end(run)
    assert isinstance(report, Report)
    subtasks = bench.follow(run)
    while subtasks:
        ready = next(t for t in subtasks if bench.needs[t.task_id] <= set(bench.files))
        subtasks.remove(ready)
        bench.follow(ready)
    session: Any = None
    before = set(bench.files)
    second = Handle(ResultState(session, "", run.output_id, 1))
    using = bench.call(add, second, 100, task_id="u")
    # As a control plane would: the task gets what its payload names, nothing else.
    function_id = next(iter(using.files.keys() - before - {using.payload_id}))
    given = {one: using.files[one] for one in (using.payload_id, function_id, run.output_id)}
    assert bench.value(msgspec.structs.replace(using, files=given)) == 113


def test_an_array_arrives_writable_and_the_file_is_not_changed(bench: Bench) -> None:
    np = pytest.importorskip("numpy")

    def change(array: Any) -> float:
        array[0] = 7
        return float(array.sum())

    run = bench.call(change, np.zeros(100_000))
    assert bench.value(run) == 7
    assert bench.value(run) == 7


def _fork() -> int:
    return os.fork()


def test_a_fork_that_comes_back_does_not_answer(bench: Bench) -> None:
    assert bench.value(bench.call(_fork)) > 0
    assert bench.value(bench.call(add, 1, 2, task_id="u")) == 3


@task
def fibonacci(n: int) -> Any:
    if n < 2:
        return n
    return add_up.invoke(fibonacci.invoke(n - 1), fibonacci.invoke(n - 2))


@task
def add_up(a: int, b: int) -> int:
    return a + b


@task(require_context=True)
def describe(ctx: PymonikContext) -> tuple[Any, ...]:
    same = get_context() is ctx
    shared = ctx.put(20, "shared")
    total = add_up.invoke(shared, shared)
    return same, ctx.task_id, ctx.session_id, ctx.attempt, ctx.partition, total


def test_tasks_of_the_api_run_recursively(bench: Bench) -> None:
    assert bench.value(bench.calls(fibonacci, [(4,)])) == 3


def test_a_recursive_task_is_not_uploaded_again(bench: Bench) -> None:
    ending = bench.end(bench.calls(fibonacci, [(4,)]))
    assert isinstance(ending, Report)
    assert [one.name for one in ending.created if one.name == "fibonacci"] == ["fibonacci"] * 2
    uploads = [one for one in ending.created if one.name == "add_up" and one.data]
    assert len(uploads) == 1


def test_a_task_knows_its_context(bench: Bench) -> None:
    assert bench.value(bench.calls(describe, [()])) == (True, "t", "s", 1, "p", 40)


def test_executors_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib\n"
        "from pymonik.executor.pool import ExecutorPool\n"
        "pool = ExecutorPool(folder=pathlib.Path(sys.argv[1]), size=1)\n"
        "pool.start()\n"
        "print(next(iter(pool._seats)).process.result().supervisor, flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as parent:
        assert parent.stdout is not None
        sentinel = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
        ready, _, _ = select.select([sentinel], [], [], 30)
        os.close(sentinel)
    assert ready


def _clean_up(path: str) -> None:
    child = subprocess.Popen(["sleep", "300"])
    try:
        print(child.pid, flush=True)  # noqa: T201
        time.sleep(300)
    finally:
        Path(path).write_text(str(get_context().stopping))


def _refuse_to_end() -> None:
    while True:
        try:
            print("on", flush=True)  # noqa: T201
            time.sleep(300)
        except KeyboardInterrupt:  # noqa: PERF203
            continue


def test_a_call_past_its_time_is_asked_first_and_may_clean_up(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "cleaned"
    assert bench.value(bench.call(add, 1, 2)) == 3  # what the executor imports takes its time once
    ending = bench.end(bench.call(_clean_up, str(path)), time_limit_s=2.0)
    assert isinstance(ending, TimedOut)
    assert path.read_text() == "True"
    child = int("".join(text for _, _, text in bench.printed))
    assert not Path(f"/proc/{child}").exists()
    assert bench.value(bench.call(add, 1, 2)) == 3


def test_who_does_not_end_when_asked_is_killed_after_the_grace(make_bench: Any) -> None:
    bench = make_bench(grace_s=0.2)
    assert bench.value(bench.call(add, 1, 2)) == 3  # what the executor imports takes its time once
    ending = bench.end(bench.call(_refuse_to_end), time_limit_s=0.5)
    assert isinstance(ending, TimedOut)
    assert "".join(text for _, _, text in bench.printed) == "on\non\n"


def test_a_call_that_closes_the_connection_of_its_executor_is_told_so(bench: Bench) -> None:
    def close_all() -> None:
        os.closerange(3, 4096)
        time.sleep(300)

    ending = bench.end(bench.call(close_all))
    assert isinstance(ending, Lost)
    assert "the call closed the connection of its executor" in ending.failure.summary
    assert bench.value(bench.call(add, 1, 2)) == 3


def test_a_call_behind_one_that_cannot_be_put_back_runs_in_another_executor(bench: Bench) -> None:
    def own_priority() -> tuple[int, int]:
        return os.getpid(), os.nice(1)

    found = [bench.value(bench.call(own_priority)) for _ in range(5)]
    assert len({pid for pid, _ in found}) == 5
    assert len({priority for _, priority in found}) == 1


def test_an_interrupt_by_anybody_else_is_an_exception_of_the_call(bench: Bench) -> None:
    def interrupt() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(300)

    assert "KeyboardInterrupt" in str(failure(bench.end(bench.call(interrupt))))
    assert bench.value(bench.call(add, 1, 2)) == 3


def test_an_interrupt_between_two_calls_is_ignored(bench: Bench) -> None:
    def later() -> None:
        subprocess.Popen(["sh", "-c", f"sleep 0.2; kill -INT {os.getpid()}"])

    bench.value(bench.call(later))
    time.sleep(0.5)
    assert bench.value(bench.call(add, 1, 2)) == 3


def test_children_count_for_the_memory_limit_and_shared_pages_once(make_bench: Any) -> None:
    def fork(held: int, own: int) -> int:
        data = b"x" * held
        with ThreadPoolExecutor(4) as threads:
            program = f"import time; x = b'x' * {own}; time.sleep(0.5)"
            for _ in range(4):
                threads.submit(subprocess.run, [sys.executable, "-S", "-c", program])
            pid = os.fork()
            if pid == 0:
                time.sleep(0.4)
                os._exit(len(data) % 2)
            os.waitpid(pid, 0)
        return len(data)

    bench = make_bench(memory_limit=300 << 20)
    assert bench.value(bench.call(fork, 180 << 20, 1)) == 180 << 20
    ending = bench.end(bench.call(fork, 1, 100 << 20))
    assert isinstance(ending, Failed)
    assert "with all that it started" in ending.failure.summary


def _leave(size: int) -> int:
    program = f"import time; x = b'x' * {size}; print(1, flush=True); time.sleep(300)"
    child = subprocess.Popen([sys.executable, "-S", "-c", program], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.read(1)
    return child.pid


def _hold(size: int, pids: list[int]) -> list[int]:
    import psutil  # not above: other tests look at what their executors have loaded

    data = b"x" * size
    time.sleep(1.0)  # several looks at the memory
    return [pid for pid in pids if data and psutil.pid_exists(pid)]


def test_no_call_fails_for_memory_of_what_an_earlier_one_left(make_bench: Any) -> None:
    import psutil

    bench = make_bench(memory_limit=200 << 20)
    left = bench.value(bench.call(_leave, 100 << 20))
    assert bench.value(bench.call(_hold, 50 << 20, [left])) == [left]  # there is room for both
    assert not [
        pid
        for pid in bench.value(bench.call(_hold, 150 << 20, [left]))
        if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    ]
    ending = bench.end(bench.call(_allocate_slowly, 220 << 20))
    assert isinstance(ending, Failed)


def _write_to_all(data: bytes) -> None:
    for fd in range(3, 4096):
        try:
            os.set_blocking(fd, False)
            os.write(fd, data)
        except OSError:  # noqa: PERF203 - none, or not to be written to
            continue
    time.sleep(300)


@pytest.mark.parametrize("data", [b"hello", b"\xff" * 100, b"\xc1pmk" + b"\xff" * 8])
def test_a_call_that_writes_to_our_sockets_harms_itself_only(bench: Bench, data: bytes) -> None:
    ending = bench.end(bench.call(_write_to_all, data))
    assert isinstance(ending, Lost)
    assert "or wrote to it" in ending.failure.summary
    assert bench.value(bench.call(add, 1, 2)) == 3
