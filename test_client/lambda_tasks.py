"""Tasks from lambdas and from functions of other packages.

python test_client/lambda_tasks.py [--endpoint host:5001]
"""

import argparse
import statistics

from pymonik import Pymonik, Task

add = Task(lambda a, b: a + b, func_name="add")
mean = Task(statistics.mean)


def main(endpoint: str | None) -> None:
    with Pymonik(endpoint=endpoint):
        sums = add.map_invoke([(1, 2), (1, 3), (2, 6)])
        average = mean.invoke(sums).wait().get()
        print(f"the mean of {sums.wait().get()} is {average}")
    assert average == 5


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Tasks from lambdas and library functions.")
    parser.add_argument("--endpoint", help="of a cluster; default: AKCONFIG, or this machine")
    main(parser.parse_args().endpoint)
