"""Several outputs of one call: each has a handle of its own."""

from __future__ import annotations

import asyncio
import pickle
from pathlib import Path
from typing import Any

import pytest

from pymonik import DependencyFailedError, File, Outputs, Pymonik, as_completed, task
from pymonik.errors import UsageError

TIMEOUT_S = 55.0
LARGE = 200_000  # bytes: an output that is a result of its own


@task
def statistics(numbers: list[float], size: int = LARGE) -> Outputs:
    return Outputs(mean=sum(numbers) / len(numbers), full=b"f" * size)


@task
def double(value: float) -> float:
    return 2 * value


@task
def length(value: bytes) -> int:
    return len(value)


@task
def names_of(outputs: Outputs) -> dict[str, Any]:
    return {name: len(value) if name == "full" else value for name, value in outputs.items()}


@task
def fails(n: int) -> Outputs:
    raise LookupError(n)


@task
def plain(n: int) -> int:
    return n


@task
def with_handles(n: int) -> Outputs:
    return Outputs(twice=double.invoke(n), both=[double.invoke(n), n], plain=n)


@task
def first_of(n: int) -> Any:
    return statistics.invoke([n])["mean"]


@task
def with_file(text: str, folder: str) -> Outputs:
    path = Path(folder, "given.txt")
    path.write_text(text)
    return Outputs(file=File(path), length=len(text))


@task
def text_of(file: File) -> str:
    return Path(file).read_text()


@task(outputs="*.log")
def with_log(text: str) -> Outputs:
    Path("run.log").write_text(text)
    return Outputs(length=len(text))


def test_each_output_has_a_handle_before_the_call_has_ended(client: Pymonik):
    handle = statistics.invoke([1, 2, 3], pymonik=client)
    assert handle["mean"].get(timeout=TIMEOUT_S) == 2
    assert len(handle["full"].get(timeout=TIMEOUT_S)) == LARGE
    whole = handle.get(timeout=TIMEOUT_S)
    assert whole.mean == whole["mean"] == 2
    assert len(whole.full) == LARGE


@pytest.mark.parametrize("size", [10, LARGE])
def test_an_output_is_passed_on_without_the_others(client: Pymonik, size: int):
    handle = statistics.invoke([1, 2, 3], size, pymonik=client)
    twice = double.invoke(handle["mean"], pymonik=client)
    count = length.invoke(handle["full"], pymonik=client)
    assert twice.get(timeout=TIMEOUT_S) == 4
    assert count.get(timeout=TIMEOUT_S) == size


@pytest.mark.parametrize("size", [10, LARGE])
def test_all_outputs_can_be_one_argument(client: Pymonik, size: int):
    handle = statistics.invoke([1, 2, 3], size, pymonik=client)
    assert names_of.invoke(handle, pymonik=client).get(timeout=TIMEOUT_S) == {
        "mean": 2,
        "full": size,
    }


@pytest.mark.parametrize("chunk_size", [1, 5])
def test_calls_of_a_map_have_outputs(client: Pymonik, chunk_size: int):
    handles = statistics.map_invoke(
        [([n],) for n in range(10)], pymonik=client, chunk_size=chunk_size
    )
    assert handles["mean"].get(timeout=TIMEOUT_S) == list(range(10))
    counts = length.map_invoke(handles["full"], pymonik=client, chunk_size=chunk_size)
    assert counts.get(timeout=TIMEOUT_S) == [LARGE] * 10


def test_a_failure_is_that_of_each_output(client: Pymonik):
    handle = fails.invoke(3, pymonik=client)
    needs = double.invoke(handle["mean"], pymonik=client)
    with pytest.raises(LookupError):
        handle["mean"].get(timeout=TIMEOUT_S)
    assert isinstance(needs.exception(timeout=TIMEOUT_S), DependencyFailedError)


def test_an_output_that_does_not_exist_is_told_with_those_that_do(client: Pymonik):
    handle = statistics.invoke([1], pymonik=client)
    with pytest.raises(UsageError, match=r"no output 'median': there are mean, full"):
        handle["median"].get(timeout=TIMEOUT_S)
    needs = double.invoke(handle["median"], pymonik=client)
    with pytest.raises(UsageError, match="median"):
        needs.get(timeout=TIMEOUT_S)
    with pytest.raises(UsageError, match=r"did not return Outputs\(mean="):
        plain.invoke(1, pymonik=client)["mean"].get(timeout=TIMEOUT_S)


def test_handles_among_outputs_become_their_values(client: Pymonik):
    handle = with_handles.invoke(4, pymonik=client)
    assert handle["twice"].get(timeout=TIMEOUT_S) == 8
    assert double.invoke(handle["twice"], pymonik=client).get(timeout=TIMEOUT_S) == 16
    assert dict(handle.get(timeout=TIMEOUT_S)) == {"twice": 8, "both": [8, 4], "plain": 4}


def test_a_task_can_return_one_output_of_another(client: Pymonik):
    assert first_of.invoke(7, pymonik=client).get(timeout=TIMEOUT_S) == 7


def test_files_are_outputs_too(client: Pymonik, tmp_path: Path):
    handle = with_file.invoke("text", str(tmp_path), pymonik=client)
    assert text_of.invoke(handle["file"], pymonik=client).get(timeout=TIMEOUT_S) == "text"
    assert handle["file"].get(timeout=TIMEOUT_S).read_text() == "text"
    assert handle["length"].get(timeout=TIMEOUT_S) == 4
    logged = with_log.invoke("text", pymonik=client)
    assert logged.files["run.log"].read_text() == "text"
    assert logged["length"].get(timeout=TIMEOUT_S) == 4


def test_outputs_are_waited_for_in_every_way(client: Pymonik):
    handles = statistics.map_invoke([([n], 10) for n in range(4)], pymonik=client)
    means = handles["mean"]
    assert sorted(one.get() for one in as_completed(means, TIMEOUT_S)) == [0, 1, 2, 3]

    async def awaited() -> list[float]:
        more = [statistics.invoke([n], pymonik=client)["mean"] for n in range(4)]
        return list(await asyncio.gather(*more))

    assert asyncio.run(awaited()) == [0, 1, 2, 3]
    assert statistics.invoke([5], pymonik=client)["mean"].future().result(TIMEOUT_S) == 5


def test_handles_of_outputs_can_be_pickled(client: Pymonik):
    handle = statistics.invoke([1, 2, 3], pymonik=client)
    again = pickle.loads(pickle.dumps(handle["mean"]))
    assert again.get(timeout=TIMEOUT_S) == 2


def test_a_call_that_was_given_an_output_runs_again(client: Pymonik, tmp_path: Path):
    mark = tmp_path / "mark"

    @task
    def needs(value: float) -> float:
        if not mark.exists():
            mark.touch()
            raise OSError("the first time")
        return value + 1

    handle = statistics.invoke([1, 2, 3], pymonik=client)
    called = needs.invoke(handle["mean"], pymonik=client)
    assert isinstance(called.exception(timeout=TIMEOUT_S), OSError)
    called.rerun()
    assert called.get(timeout=TIMEOUT_S) == 3


def test_a_handle_is_still_no_sequence(client: Pymonik):
    handle = plain.invoke(1, pymonik=client)
    with pytest.raises(TypeError):
        list(handle)  # type: ignore[call-overload]
    with pytest.raises(UsageError, match="by name"):
        handle[0]  # type: ignore[index]
    with pytest.raises(UsageError, match="one output already"):
        handle["a"]["b"]
    assert statistics([1, 2, 3]).mean == 2
    with pytest.raises(UsageError):
        Outputs()
