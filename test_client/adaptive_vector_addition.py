"""Vector addition that splits itself into subtasks while the vectors are long.

python test_client/adaptive_vector_addition.py [--endpoint host:5001]
"""

import argparse

import numpy as np

from pymonik import Pymonik, task

VECTOR_SIZE_THRESHOLD = 512


@task
def aggregate_results(result_1, result_2):
    return np.concatenate([result_1, result_2])


@task
def vec_add(a, b):
    if a.size <= VECTOR_SIZE_THRESHOLD:
        return a + b
    middle = a.size // 2
    first = vec_add.invoke(a[:middle], b[:middle])
    second = vec_add.invoke(a[middle:], b[middle:])
    return aggregate_results.invoke(first, second, delegate=True)


def main(endpoint: str | None) -> None:
    a, b = np.arange(4096), np.ones(4096, dtype=int)
    with Pymonik(endpoint=endpoint, environment={"pip": ["numpy"]}):
        total = vec_add.invoke(a, b).wait().get()
    print(f"{total.size} elements, the last one is {total[-1]}")
    assert np.array_equal(total, a + b)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Vector addition in subtasks.")
    parser.add_argument("--endpoint", help="of a cluster; default: AKCONFIG, or this machine")
    main(parser.parse_args().endpoint)
