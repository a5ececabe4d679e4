"""An edit is used by the next call, with and without a reload; nothing of before is mixed in."""

import importlib
import pathlib
import sys

import rules
from pymonik import Pymonik, task

sys.dont_write_bytecode = True


@task
def limit():
    return rules.limit()


if __name__ == "__main__":
    with Pymonik():
        assert limit.invoke().result(60) == 1
        for value in (20, 300, 4000):
            pathlib.Path("rules.py").write_text(f"def limit():\n    return {value}\n")
            if value != 300:
                importlib.reload(rules)
            assert limit.invoke().result(60) == value
