"""Runs that an executor gets ahead: their order, whose output it is, and what is given back."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pymonik.code import codec, opened_result, packed_function
from pymonik.executor import process
from pymonik.executor.endings import Cancelled, Ending, Failed, Lost, TimedOut
from pymonik.executor.frames import Report, Run
from pymonik.executor.line import Call
from pymonik.executor.pool import ExecutorPool
from pymonik.tasks.task import Task
from pymonik.wire import containers
from pymonik.wire.call import CallMeta, FunctionRef, PayloadMeta

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pymonik.executor.output import Part

LIMIT_S = 60.0


class Calls:
    """A source: after the first call come all the others."""

    def __init__(self, calls: Sequence[Call]) -> None:
        self.first, *self.others = calls
        self.endings: dict[str, Ending] = {}
        self.back: list[Call] = []
        self.on_end: dict[str, Callable[[], object]] = {}
        self.on_back: Callable[[], object] = lambda: None

    def ended(self, call: Call, ending: Ending) -> Sequence[Call]:
        self.endings[call.run.task_id] = ending
        self.on_end.pop(call.run.task_id, lambda: None)()
        others, self.others = self.others, []
        return others

    def not_begun(self, call: Call) -> None:
        self.back.append(call)
        self.on_back()

    @property
    def names_back(self) -> list[str]:
        return sorted(call.run.task_id for call in self.back)

    def values(self) -> list[Any]:
        return [value(ending) for ending in self.endings.values()]


def value(ending: Ending) -> Any:
    assert isinstance(ending, Report), ending
    assert ending.output is not None
    return opened_result.OpenedResult(ending.output).value()


class Bench:
    def __init__(self, folder: Path, **options: Any) -> None:
        self.folder = folder
        self.log = folder / "log"
        self.log.touch()
        self.printed: dict[str, str] = defaultdict(str)
        self.pool = ExecutorPool(
            folder=folder / "executors", size=1, on_output=self._on_output, **options
        )
        self.pool.start()

    def _on_output(self, run: Run, parts: Sequence[Part]) -> None:
        for part in parts:
            self.printed[run.task_id] += part.text

    def call(self, name: str, func: Any, *args: Any, limit_s: float = LIMIT_S) -> Call:
        function = packed_function.pack_function(Task(func), "function")
        packed = codec.pack_call(args, {})
        (self.folder / function.content_id).write_bytes(function.container)
        meta = PayloadMeta(
            function=FunctionRef(function.content_id, "function", "function"),
            calls=(CallMeta(len(packed.blobs)),),
        )
        run = Run(
            task_id=name,
            session_id="s",
            files={"function": str(self.folder / function.content_id)},
            data={"payload": b"".join(containers.join(meta, packed.blobs))},
            payload_id="payload",
            output_id="output",
            folder=str(self.folder),
        )
        return Call(run, limit_s)

    def noting(self, name: str, limit_s: float = LIMIT_S) -> Call:
        return self.call(name, note, str(self.log), name, limit_s=limit_s)

    def run(self, *calls: Call) -> Calls:
        source = Calls(calls)
        self.pool.run_line(source.first, source)
        return source

    def noted(self) -> list[str]:
        return self.log.read_text().split()


@pytest.fixture
def make_bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    made = []

    def make(**options: Any) -> Bench:
        made.append(Bench(tmp_path, **options))
        return made[-1]

    yield make
    for one in made:
        one.pool.close()


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    return make_bench()


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that halts for a moment makes no call slow."""
    monkeypatch.setattr(process, "SLOW_S", LIMIT_S)


def note(log: str, name: str) -> int:
    with Path(log).open("a") as file:
        file.write(f"{name}\n")
    return os.getpid()


def nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.002)


NAMES = [f"t{number:02}" for number in range(40)]


@pytest.mark.usefixtures("unhurried")
def test_calls_run_in_their_order_in_one_executor(bench: Bench) -> None:
    source = bench.run(*map(bench.noting, NAMES))
    assert bench.noted() == list(source.endings) == NAMES
    assert len(set(source.values())) == 1


@pytest.mark.usefixtures("unhurried")
def test_the_next_call_begins_while_the_end_of_the_last_is_dealt_with(bench: Bench) -> None:
    source = Calls([bench.noting(name) for name in ("a", "b", "c")])
    source.on_end["b"] = lambda: until(lambda: bench.noted() == ["a", "b", "c"])
    bench.pool.run_line(source.first, source)
    assert list(source.endings) == ["a", "b", "c"]


def test_what_waits_behind_a_slow_call_is_given_back_and_not_run(bench: Bench) -> None:
    slow = bench.call("slow", nap, 0.4)
    source = bench.run(bench.noting("a"), slow, *map(bench.noting, ("b", "c", "d", "e", "f", "g")))
    assert list(source.endings) == ["a", "slow"]
    assert source.names_back == ["b", "c", "d", "e", "f", "g"]
    again = bench.run(*reversed(source.back))
    assert len(again.endings) == 6
    assert bench.noted() == ["a", "b", "c", "d", "e", "f", "g"]


@pytest.mark.usefixtures("unhurried")
def test_a_dead_executor_costs_the_call_that_ran(bench: Bench) -> None:
    source = bench.run(
        bench.noting("a"),
        bench.noting("b"),
        bench.call("dies", os._exit, 3),
        bench.noting("c"),
        bench.noting("d"),
    )
    assert [type(one) for one in source.endings.values()] == [Report, Report, Lost]
    assert source.names_back == ["c", "d"]
    assert bench.noted() == ["a", "b"]
    assert len(bench.run(*source.back).endings) == 2


def test_a_cancelled_call_takes_no_other_with_it(bench: Bench) -> None:
    source = Calls([bench.noting("a"), bench.call("slow", nap, 1000), bench.noting("b")])
    source.on_back = lambda: bench.pool.cancel("slow")
    bench.pool.run_line(source.first, source)
    assert source.endings["slow"] == Cancelled()
    assert source.names_back == ["b"]
    assert bench.noted() == ["a"]


def test_a_call_that_is_cancelled_as_it_comes_to_run_gives_the_others_back(bench: Bench) -> None:
    source = Calls([bench.noting("a"), bench.call("b", nap, 1000), bench.noting("c")])
    thread = threading.Thread(target=bench.pool.run_line, args=(source.first, source))
    thread.start()
    until(lambda: "b" in bench.pool._running)
    bench.pool.cancel("b")
    thread.join(30)
    assert source.endings["b"] == Cancelled()
    assert source.names_back == ["c"]


def test_closing_the_pool_ends_a_line(bench: Bench) -> None:
    source = Calls([bench.noting("a"), bench.call("slow", nap, 1000), bench.noting("b")])
    thread = threading.Thread(target=bench.pool.run_line, args=(source.first, source))
    thread.start()
    until(lambda: "slow" in bench.pool._running)
    bench.pool.close()
    thread.join(30)
    assert source.endings["slow"] == Cancelled()
    assert bench.noted() == ["a"]


@pytest.mark.usefixtures("unhurried")
def test_time_counts_from_the_start_of_each_call(bench: Bench) -> None:
    bench.run(bench.noting("first"))  # imports, which count as time of a call
    naps = [bench.call(name, nap, 0.015, limit_s=1.2) for name in NAMES * 3]
    assert bench.run(*naps).values() == [0.015] * len(NAMES)
    source = bench.run(bench.noting("a"), bench.call("b", nap, 1000, limit_s=1.2))
    assert isinstance(source.endings["b"], TimedOut)


@pytest.mark.usefixtures("unhurried")
def test_what_is_no_call_costs_nothing_but_itself(bench: Bench) -> None:
    head = b"\x81\xa4type\xa1\xff"  # the type is no text
    no_call = bench.noting("no call")
    no_call.run.data["payload"] = containers._PRELUDE.pack(containers._MAGIC, len(head), 0) + head
    source = bench.run(bench.noting("a"), bench.noting("b"), no_call, bench.noting("c"))
    kinds = {name: type(ending) for name, ending in source.endings.items()}
    assert kinds == {"a": Report, "b": Report, "no call": Failed, "c": Report}
    assert bench.noted() == ["a", "b", "c"]
    assert list(bench.run(bench.noting("d"), bench.noting("e")).endings) == ["d", "e"]
    assert bench.noted() == ["a", "b", "c", "d", "e"]


@pytest.mark.usefixtures("unhurried")
def test_calls_with_little_time_wait_for_their_turn(bench: Bench) -> None:
    bench.run(bench.noting("first"))  # imports, which count as time of a call
    calls = [bench.noting(name, limit_s=0.9) for name in NAMES]
    assert list(bench.run(*calls).endings) == NAMES


@pytest.mark.usefixtures("unhurried")
def test_a_call_without_time_is_not_run(bench: Bench) -> None:
    source = bench.run(bench.noting("a"), bench.noting("b", limit_s=0.0), bench.noting("c"))
    assert isinstance(source.endings["b"], TimedOut)
    assert bench.noted() == ["a", "c"]


@pytest.mark.usefixtures("unhurried")
def test_large_calls_keep_their_place(bench: Bench) -> None:
    calls = [
        bench.call(name, lambda _data, *args: note(*args), bytes(size), str(bench.log), name)
        for name, size in zip(NAMES, [1, 1, 1 << 17, 1, 1 << 15, 1 << 17, 1, 1] * 5, strict=True)
    ]
    bench.run(*calls)
    assert bench.noted() == NAMES


@pytest.mark.usefixtures("unhurried")
def test_a_payload_that_is_no_call_fails_alone(bench: Bench) -> None:
    nonsense = bench.noting("b")
    run = Run(
        task_id="b",
        session_id="s",
        files={},
        data={"p": b"?"},
        payload_id="p",
        output_id="",
        folder="",
    )
    source = bench.run(bench.noting("a"), Call(run, nonsense.time_limit_s), bench.noting("c"))
    assert isinstance(source.endings["b"], Failed)
    assert bench.noted() == ["a", "c"]


@pytest.mark.usefixtures("unhurried")
def test_with_a_memory_limit_calls_run_one_by_one(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(memory_limit=1 << 31)
    source = bench.run(bench.noting("a"), bench.call("big", bytearray, 1 << 32), bench.noting("b"))
    assert isinstance(source.endings["big"], Failed)
    assert bench.noted() == ["a", "b"]


# -- output ----------------------------------------------------------------------------------------


def say(name: str, way: int) -> None:
    if way == 0:
        print(name)  # noqa: T201
    elif way == 1:
        os.write(2, name.encode())
    elif way == 2:
        print(name, file=sys.stderr, end="")  # noqa: T201
    elif way == 3:
        subprocess.run(["echo", name], check=True)
    elif way == 4:
        os.write(1, f"{name}\n{'x' * 100_000}".encode())


def test_what_a_call_prints_is_its_own(bench: Bench) -> None:
    ways = [0, 5, 1, 2, 5, 5, 3, 4, 0, 0, 5, 4, 4, 1, 1, 2, 5, 0, 5, 0]
    names = [f"t{number}" for number in range(len(ways) * 10)]
    calls = [bench.call(name, say, name, way) for name, way in zip(names, ways * 10, strict=True)]
    waiting = calls
    while waiting:
        waiting = bench.run(*waiting).back[::-1]
    said = {name: text.split("\n")[0] for name, text in bench.printed.items()}
    assert said == {name: name for name, way in zip(names, ways * 10, strict=True) if way != 5}
    assert sum(text.count("x") for text in bench.printed.values()) == 30 * 100_000


def _say_and_note(log: str, name: str) -> None:
    print(name)  # noqa: T201
    note(log, name)


@pytest.mark.usefixtures("unhurried")
def test_what_a_call_printed_that_ended_before_it_was_looked_at_is_its_own(bench: Bench) -> None:
    calls = [bench.noting(name) for name in "abc"]
    calls += [bench.call("d", _say_and_note, str(bench.log), "d"), bench.noting("e")]
    source = Calls(calls)
    source.on_end["b"] = lambda: until(lambda: bench.noted()[:4] == ["a", "b", "c", "d"])
    bench.pool.run_line(source.first, source)
    assert bench.printed == {"d": "d\n"}
    assert list(source.endings) == ["a", "b", "c", "d", "e"]


def _speak_on() -> None:
    def speak() -> None:
        while True:
            os.write(1, b"still here\n")
            time.sleep(0.0005)

    threading.Thread(target=speak, daemon=True).start()


def _close_output() -> None:
    os.close(1)


def _redirect_output(path: str) -> None:
    with open(path, "a+") as file:  # noqa: PTH123
        file.write("text")
        file.seek(0)
        os.dup2(file.fileno(), 1)


@pytest.mark.parametrize("what", ["speaks on", "closes", "redirects"])
def test_whatever_a_call_does_to_the_output_the_next_ones_run(bench: Bench, what: str) -> None:
    does = {
        "speaks on": bench.call("does", _speak_on),
        "closes": bench.call("does", _close_output),
        "redirects": bench.call("does", _redirect_output, str(bench.folder / "elsewhere")),
    }[what]
    bench.run(bench.noting("a"), does)
    waiting = [bench.noting(name) for name in NAMES]
    while waiting:
        waiting = bench.run(*waiting).back[::-1]
    assert bench.noted() == ["a", *NAMES]
