"""joblib, and scikit-learn through it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import pytest

import pymonik.joblib
from pymonik import LocalCluster, Pymonik, ResultHandle
from pymonik.joblib import BatchSizes, PymonikBackend, StoredArguments, bytes_of

if TYPE_CHECKING:
    from collections.abc import Iterator

pymonik.joblib.register()


@pytest.fixture(autouse=True)
def _backend(client: Pymonik) -> Iterator[None]:
    with joblib.parallel_config("pymonik"):
        yield


def square(x: int) -> int:
    return x * x


def fail(x: int) -> int:
    raise LookupError(x)


def in_process() -> int:
    return os.getpid()


def item(array: np.ndarray[Any, Any], index: int) -> float:
    return float(array[index])


def squares_inside(count: int) -> Any:
    return joblib.Parallel(n_jobs=2)(joblib.delayed(square)(n) for n in range(count))


def squares_inside_by_name(count: int) -> Any:
    return joblib.Parallel(n_jobs=2, backend="pymonik")(
        joblib.delayed(square)(n) for n in range(count)
    )


def test_calls_give_their_values_in_order():
    assert joblib.Parallel()(joblib.delayed(square)(n) for n in range(500)) == [
        n * n for n in range(500)
    ]


def test_calls_run_in_the_executors_of_the_cluster():
    processes = set(joblib.Parallel(n_jobs=2)(joblib.delayed(in_process)() for _ in range(20)))
    assert os.getpid() not in processes


def test_a_failure_has_its_class():
    with pytest.raises(LookupError, match="3"):
        joblib.Parallel(n_jobs=2)(joblib.delayed(fail)(3) for _ in range(10))


def test_values_come_as_they_end():
    values = joblib.Parallel(n_jobs=2, return_as="generator_unordered")(
        joblib.delayed(square)(n) for n in range(20)
    )
    assert sorted(values) == [n * n for n in range(20)]


@pytest.mark.parametrize("function", [squares_inside, squares_inside_by_name])
def test_calls_may_call_in_parallel_themselves(function: Any):
    found = joblib.Parallel(n_jobs=2)(joblib.delayed(function)(n) for n in range(4))
    assert found == [[n * n for n in range(count)] for count in range(4)]


def test_large_arrays_that_come_again_arrive_as_they_are():
    array: np.ndarray[Any, Any] = np.arange(200_000, dtype=np.float64)
    found = joblib.Parallel(n_jobs=2)(joblib.delayed(item)(array, n) for n in range(50))
    assert found == list(range(50))


def test_a_large_argument_is_stored_when_it_comes_again(client: Pymonik):
    stored = StoredArguments(lambda: client)
    large, small = np.zeros(200_000), np.zeros(3)
    first, second, third = (stored.in_call(item, (large,), {"b": small}) for _ in range(3))
    assert first == (item, (large,), {"b": small})
    assert isinstance(second[1][0], ResultHandle)
    assert second[1][0] is third[1][0]
    assert third[2]["b"] is small
    stored.forget()
    assert stored.in_call(item, (large,), {})[1][0] is large


def test_arrays_that_are_made_on_the_way_are_not_taken_for_each_other():
    found = joblib.Parallel(n_jobs=2)(
        joblib.delayed(item)(np.full(200_000, float(n)), 0) for n in range(50)
    )
    assert found == list(range(50))


def start(path: str) -> None:
    with Path(path).open("a") as file:
        file.write(f"{os.getpid()}\n")


def test_the_initializer_runs_once_in_each_process(tmp_path: Path):
    path = str(tmp_path / "starts")
    with joblib.parallel_config("pymonik", initializer=start, initargs=(path,)):
        processes = joblib.Parallel(n_jobs=2)(joblib.delayed(in_process)() for _ in range(20))
    assert sorted(map(int, Path(path).read_text().split())) == sorted(set(processes))


def test_what_n_jobs_means(cluster: LocalCluster, client: Pymonik):
    backend = PymonikBackend(client)
    assert [backend.effective_n_jobs(n) for n in (-1, -2, None, 7)] == [2, 1, 1, 7]
    assert PymonikBackend(workers=300).effective_n_jobs(-1) == 300
    with pytest.raises(ValueError, match="n_jobs == 0"):
        backend.effective_n_jobs(0)


def test_without_a_session_it_opens_one(tmp_path: Path):
    program = """
        import joblib, pymonik.joblib

        def square(x):
            return x * x

        if __name__ == "__main__":
            pymonik.joblib.register(make_default=True)
            print(joblib.Parallel(n_jobs=2)(joblib.delayed(square)(n) for n in range(5)))
    """
    (tmp_path / "program.py").write_text(textwrap.dedent(program))
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("[0, 1, 4, 9, 16]\n", "")


def test_batches_grow_until_they_take_a_tenth_of_a_second():
    sizes = BatchSizes()
    assert sizes.next() == 1
    found = []
    for _ in range(12):
        size = sizes.next()
        sizes.ended(size, size * 0.001)
        found.append(size)
    assert found == [1, 2, 4, 8, 16, 32, 64, *[100] * 5]
    sizes.ended(100, 100.0)
    assert sizes.next() == 1


def test_only_values_of_libraries_of_arrays_have_a_size():
    class Odd:
        nbytes = property(lambda self: fail(1))

    sparse = pytest.importorskip("scipy.sparse").eye(10, format="csr")
    frame = pytest.importorskip("pandas").DataFrame({"a": [1, 2, 3]})
    assert bytes_of(np.zeros(10)) == 80
    assert bytes_of(sparse) == 80
    assert bytes_of(frame) > 24
    assert [bytes_of(value) for value in (Odd(), np.ndarray, "text", threading)] == [0] * 4


def test_scikit_learn_searches_a_grid():
    datasets = pytest.importorskip("sklearn.datasets")
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import GridSearchCV

    features, classes = datasets.load_iris(return_X_y=True)
    forest = RandomForestClassifier(n_estimators=5, random_state=0)
    grid = GridSearchCV(forest, {"max_depth": [2, 3]}, cv=3, n_jobs=-1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert grid.fit(features, classes).best_score_ > 0.9
