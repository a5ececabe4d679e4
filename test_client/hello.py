"""The first call: a function, a cluster, a value.

python test_client/hello.py [--endpoint host:5001]
"""

import argparse

from pymonik import Pymonik, task


@task
def add(a, b):
    return a + b


@task
def multiply(a, b):
    return a * b


def main(endpoint: str | None) -> None:
    with Pymonik(endpoint=endpoint):
        greeting = add.invoke("Hello", " World!").wait().get()
        print(greeting)
        assert greeting == "Hello World!"

        product = multiply.invoke(add.invoke(2, 3), 5)  # a handle is an argument like any other
        print(product.get())
        assert product.get() == 25


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The first call.")
    parser.add_argument("--endpoint", help="of a cluster; default: AKCONFIG, or this machine")
    main(parser.parse_args().endpoint)
